/**
 * The door of a server with workers: it takes every connection, reads the head of its first request, and hands the connection to
 * a worker. From then on nothing of the connection passes through this process. Reasons: docs/decisions/0078-workers.md.
 */
import type { Socket } from "node:net"
import { forwardedClient, networkOf, plainAddress, type TrustedProxies } from "../edge/ClientAddress.ts"
import { HEADERS_TIMEOUT, MAX_HEADER_BYTES } from "../edge/Handlers.ts"
import { makePlaces, type Places, type Release } from "../edge/Places.ts"
import { destroyOnError, refuseUpgrade } from "../edge/ws/Upgrade.ts"
import type * as Metrics from "../metrics/Metrics.ts"
import type { Placed } from "./Placement.ts"
import { HeadBytes, parseHead, type RequestHead } from "./RequestHead.ts"
import { routeKeyOf } from "./routeKey.ts"
import type { WorkerProcess } from "./WorkerProcess.ts"

export interface DoorwayOptions {
  readonly maxConnectionsPerAddress: number
  readonly proxies: TrustedProxies
  /** See `documentPathOf`. */
  readonly documentPath: string
  /** undefined: no worker runs. */
  readonly place: (key: string | undefined) => Placed<WorkerProcess> | undefined
  /** An address was refused. */
  readonly refused: (address: string) => void
}

/** Connections whose heads are read at a time, with up to 128 KiB each. Above it, the oldest is refused. */
const MAX_READING = 1000

/** The options of Node's server whose connections `accept` takes. */
export const doorOptions = {
  // A client may close its side once it has sent a request.
  allowHalfOpen: true,
  // The sockets keep it. Node's HTTP server, which sets it too, never sees them here.
  noDelay: true,
  // The sockets stop reading as soon as they hold a byte: see `read`.
  highWaterMark: 1
} as const

export class Doorway {
  private readonly options: DoorwayOptions
  private readonly connections: Places
  /** The connections whose heads are read, the oldest first, and what refuses them. */
  private readonly reading = new Map<Socket, () => void>()

  constructor(options: DoorwayOptions) {
    this.options = options
    this.connections = makePlaces(options.maxConnectionsPerAddress)
  }

  /** Takes a connection of Node's server. */
  accept(socket: Socket): void {
    destroyOnError(socket)
    const peer = plainAddress(socket.remoteAddress ?? "")
    // It has closed already.
    if (peer === undefined) return void socket.destroy()
    const isProxy = this.options.proxies.trusts(peer)
    const release = isProxy ? nothing : this.takePlace(peer)
    if (release === undefined) return refuse(socket, "429 Too Many Requests", "address_connections")
    socket.once("close", release)
    const [oldest] = this.reading.values()
    if (this.reading.size >= MAX_READING) oldest?.()
    this.read(socket, (bytes) => this.handOver(socket, bytes, { isProxy, release }))
  }

  /** Ends the connections whose heads are read. */
  close(): void {
    for (const socket of this.reading.keys()) socket.destroy()
  }

  /** Reads until the head is complete, and not a byte more, because nobody would hand it to the worker. */
  private read(socket: Socket, then: (bytes: Buffer) => void): void {
    const head = new HeadBytes()
    const end = () => {
      clearTimeout(timer)
      this.reading.delete(socket)
      socket.off("data", add).off("end", destroy).off("close", end)
    }
    const refuseSlow = () => {
      end()
      refuse(socket, "408 Request Timeout", "slow")
    }
    const add = (chunk: Buffer) => {
      if (!head.add(chunk) && isHeadSoFar(head.all())) return
      end()
      // Back in the socket's buffer the chunk is above the high-water mark, for which Node stops reading when this returns. To
      // pause alone would not do.
      socket.pause()
      socket.unshift(chunk)
      process.nextTick(then, head.all())
    }
    const destroy = () => void socket.destroy()
    const timer = setTimeout(refuseSlow, HEADERS_TIMEOUT)
    this.reading.set(socket, refuseSlow)
    socket.on("data", add).once("end", destroy).once("close", end)
  }

  private handOver(socket: Socket, bytes: Buffer, { isProxy, release }: Arrived): void {
    if (socket.destroyed) return
    const { documentPath, place } = this.options
    const head = parseHead(bytes)
    const releaseForwarded = isProxy && head !== undefined ? this.takeForwarded(head) : nothing
    if (releaseForwarded === undefined) return refuse(socket, "429 Too Many Requests", "address_connections")
    const placed = place(head && routeKeyOf(head, documentPath))
    if (placed === undefined) {
      releaseForwarded()
      return refuse(socket, "503 Service Unavailable", "unavailable")
    }
    socket.off("close", release)
    placed.worker.handOver(socket, bytes, () => {
      placed.release()
      releaseForwarded()
      release()
    })
  }

  /**
   * Takes a place for the WebSocket of a client behind a trusted proxy. Its requests are left to the workers: the connection of
   * a proxy carries those of many clients.
   */
  private takeForwarded({ header }: RequestHead): Release | undefined {
    if (header("upgrade") === undefined) return nothing
    const client = forwardedClient(header("x-forwarded-for"), this.options.proxies)
    return client === undefined ? nothing : this.takePlace(client)
  }

  private takePlace(address: string): Release | undefined {
    const release = this.connections.take(networkOf(address))
    if (release === undefined) this.options.refused(address)
    return release
  }
}

interface Arrived {
  /** The connection is a trusted proxy's. */
  readonly isProxy: boolean
  /** Gives back the place of the address. */
  readonly release: Release
}

const nothing: Release = () => {}

/** Whether more bytes may make these a head. The parser of a worker refuses what is none. */
const isHeadSoFar = (bytes: Buffer): boolean =>
  bytes.length <= MAX_HEADER_BYTES && bytes[0]! >= FIRST_LETTER && bytes[0]! <= LAST_LETTER

const [FIRST_LETTER, LAST_LETTER] = [0x41, 0x5a]

const refuse = (socket: Socket, status: string, reason: Metrics.RefusalReason): void =>
  refuseUpgrade(socket, status, reason, "connection")
