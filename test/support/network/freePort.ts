/** Ports for servers that a test restarts. */
import { createServer } from "node:net"

/**
 * A free port that stays free after its server has stopped. The system assigns ports from 32768 on, so it never assigns
 * this one. `fetch` refuses port 10080, so the range starts above it.
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
