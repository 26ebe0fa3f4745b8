/** Opens connections that do nothing. */
import { setTimeout as sleep } from "node:timers/promises"
import { begin, connect, type Target } from "./client.ts"

export interface Idle extends Target {
  readonly connections: number
  readonly documents: number
  readonly seconds: number
}

/** Connects all clients while it prepares. The measured part keeps them connected for `seconds`. */
export const prepare = async (load: Idle): Promise<() => Promise<object>> => {
  const names = Array.from({ length: load.documents }, () => `bench-${crypto.randomUUID()}`)
  for (const name of names) (await begin(load, name, 1000)).socket.close()
  let left = load.connections
  const start = performance.now()
  const connectOn = async () => {
    while (left > 0) await connect(load, names[left-- % names.length] ?? "")
  }
  await Promise.all(Array.from({ length: 50 }, connectOn))
  const connectSeconds = (performance.now() - start) / 1000
  return async () => {
    await sleep(load.seconds * 1000)
    return { connectSeconds }
  }
}
