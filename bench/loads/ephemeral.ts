/** Cursors: each client in a document sends ephemeral messages to all others, at a steady rate. */
import { setTimeout as sleep } from "node:timers/promises"
import { ephemeralMessage, makeAuthor } from "@sealog/server/testing"
import { quantile } from "../harness/statistics.ts"
import { begin, connect, type Target } from "./client.ts"

export interface Ephemeral extends Target {
  readonly clients: number
  readonly perSecond: number
  readonly seconds: number
}

export interface EphemeralDone {
  readonly expected: number
  readonly delivered: number
  readonly deliveryP50: number
  readonly deliveryP99: number
}

const SIGNATURE = '"signature":"'
const signatureOf = (data: Buffer): string => {
  const at = data.indexOf(SIGNATURE) + SIGNATURE.length
  return data.toString("latin1", at, at + 86)
}

export const prepare = async (load: Ephemeral): Promise<() => Promise<EphemeralDone>> => {
  const docId = `bench-${crypto.randomUUID()}`
  const document = await begin(load, docId, 1000)
  document.socket.close()
  const sentAt = new Map<string, number>()
  const latencies: Array<number> = []
  const count = load.perSecond * load.seconds
  const clients: Array<{ readonly send: (message: string) => void; readonly messages: ReadonlyArray<string> }> = []
  for (let i = 0; i < load.clients; i++) {
    const { socket } = await connect(load, docId)
    const author = makeAuthor()
    const messages = Array.from({ length: count }, () =>
      JSON.stringify(ephemeralMessage(author, { docId, ciphertext: 60 }))
    )
    clients.push({ send: (message) => socket.send(message), messages })
    socket.on("message", (data: Buffer) => {
      const sent = sentAt.get(signatureOf(data))
      if (sent !== undefined) latencies.push(performance.now() - sent)
    })
  }
  return async () => {
    const start = performance.now()
    const interval = 1000 / load.perSecond
    await Promise.all(
      clients.map(async ({ messages, send }, i) => {
        for (const [n, message] of messages.entries()) {
          await sleep(Math.max(0, start + (n + i / clients.length) * interval - performance.now()))
          sentAt.set(signatureOf(Buffer.from(message)), performance.now())
          send(message)
        }
      })
    )
    await sleep(1000)
    return {
      expected: count * load.clients * (load.clients - 1),
      delivered: latencies.length,
      deliveryP50: quantile(latencies, 0.5),
      deliveryP99: quantile(latencies, 0.99)
    }
  }
}
