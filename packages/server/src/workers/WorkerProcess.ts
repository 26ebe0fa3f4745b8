/** A worker, as its parent sees it. */
import type { ChildProcess } from "node:child_process"
import type { Socket } from "node:net"
import { Exchange } from "./Exchange.ts"
import type { AnswerTo, Question, ToParent, ToWorker } from "./Messages.ts"

/** How a process ended: by its exit code, or by a signal. */
export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/** Sockets on their way to one worker. Node hands one over at a time, so more of them mean that the worker stands still. */
const MAX_HANDING_OVER = 500

interface HandedOver {
  /** undefined: the worker has it. */
  socket: Socket | undefined
  readonly onClose: () => void
}

export class WorkerProcess {
  /** From 1. A worker that takes the place of another one has its number. */
  readonly number: number
  /** Resolves when the worker can serve; false: it ended before. */
  readonly started: Promise<boolean>
  readonly ended: Promise<Ended>
  /** Whether it can be asked and given connections. */
  isServing = false
  private readonly child: ChildProcess
  private readonly exchange: Exchange
  private readonly handedOver = new Map<number, HandedOver>()
  private handingOver = 0
  private lastConnection = 0

  /** `answer`: for all workers. */
  constructor(number: number, child: ChildProcess, answer: (question: Question) => Promise<unknown>) {
    this.number = number
    this.child = child
    this.exchange = new Exchange((message) => this.post(message), answer)
    const ready = Promise.withResolvers<boolean>()
    this.started = ready.promise
    this.ended = new Promise((resolve) => {
      const end = (ended: Ended) => {
        this.isServing = false
        ready.resolve(false)
        this.exchange.end()
        for (const id of [...this.handedOver.keys()]) this.closed(id)
        resolve(ended)
      }
      child.once("exit", (code, signal) => end({ code, signal }))
      // The process could not be started, or a message could not be sent, after which it ends.
      child.on("error", () => {
        if (child.pid === undefined) end({ code: 1, signal: null })
      })
    })
    child.on("message", (message: ToParent) => {
      switch (message._tag) {
        case "Ready":
          this.isServing = true
          return ready.resolve(true)
        case "Leaving":
          this.isServing = false
          return
        case "Closed":
          return message.connections.forEach((id) => void this.closed(id))
        default:
          return this.exchange.receive(message)
      }
    })
  }

  get pid(): number | undefined {
    return this.child.pid
  }

  /** The connections that the worker serves, or will when it gets them. */
  get connections(): number {
    return this.handedOver.size
  }

  /** Whether it can be given a connection now. */
  get isOpen(): boolean {
    return this.isServing && this.handingOver < MAX_HANDING_OVER
  }

  /** Hands over a socket that is not read any more, with the bytes that were read. */
  handOver(socket: Socket, bytes: Buffer, onClose: () => void): void {
    this.lastConnection += 1
    const connection = this.lastConnection
    const handedOver: HandedOver = { socket, onClose }
    this.handedOver.set(connection, handedOver)
    this.handingOver += 1
    const message: ToWorker = { _tag: "Serve", connection, head: bytes.toString("latin1") }
    this.child.send(message, socket, { keepOpen: false }, (error) => {
      this.handingOver -= 1
      if (error !== null) return this.closed(connection)
      handedOver.socket = undefined
    })
  }

  ask<Q extends Question>(question: Q): Promise<AnswerTo<Q> | undefined> {
    return this.exchange.ask(question)
  }

  setLogLevel(isChanged: boolean): void {
    this.post({ _tag: "LogLevel", isChanged })
  }

  /** Asks it to end, once it has answered what clients have sent. */
  stop(): void {
    this.isServing = false
    this.post({ _tag: "Stop" })
  }

  private post(message: ToWorker): void {
    // Without a callback, a worker that has just ended would be an error event.
    if (this.child.connected) this.child.send(message, () => {})
  }

  private closed(connection: number): void {
    const handedOver = this.handedOver.get(connection)
    if (handedOver === undefined) return
    this.handedOver.delete(connection)
    handedOver.socket?.destroy()
    handedOver.onClose()
  }
}
