import { createServer } from "node:net"

/**
 * A port that nobody has, and that nobody is given who asks for any: the system hands out ports from 32768 on, for
 * connections too. So it is still free when a server that was stopped listens on it again. Above 10080, which `fetch` refuses.
 */
export const freePort = async (): Promise<number> => {
  while (true) {
    const port = 10_100 + Math.floor(Math.random() * 20_000)
    if (await isFree(port)) return port
  }
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once("error", () => resolve(false))
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
  })
