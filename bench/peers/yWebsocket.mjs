/**
 * The peer `y-websocket` with the server of its package, which keeps documents in memory only. It sees the contents, and
 * verifies no signatures.
 *
 *   node bench/peers/yWebsocket.mjs — prints its URL.
 */
import { createServer } from "node:http"
import { WebSocketServer } from "ws"
import utils from "y-websocket/bin/utils"

const server = createServer()
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
sockets.on("connection", utils.setupWSConnection)
server.listen(0, "127.0.0.1", () => console.log(`ws://127.0.0.1:${server.address().port}`))
process.once("SIGTERM", () => process.exit(0))
