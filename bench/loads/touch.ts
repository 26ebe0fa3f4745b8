/** Opens many documents, each once. */
import { connect, type Target } from "./client.ts"

export interface Touch extends Target {
  readonly documents: number
  readonly atATime: number
}

export interface TouchDone {
  readonly seconds: number
}

export const prepare =
  async (load: Touch): Promise<() => Promise<TouchDone>> =>
  async () => {
    const start = performance.now()
    let next = 0
    const touchOn = async () => {
      while (next < load.documents) {
        const { socket } = await connect(load, `filled-${next++}`, { answers: false })
        socket.terminate()
      }
    }
    await Promise.all(Array.from({ length: load.atATime }, touchOn))
    return { seconds: (performance.now() - start) / 1000 }
  }
