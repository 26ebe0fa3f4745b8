/** HTTP requests of file clients: well-formed uploads, forms by hand, and uploads that stop in the middle. */
import { createConnection, type Socket } from "node:net"
import { Effect } from "effect"
import type { FileServer } from "../servers/FileServer.ts"

export interface Reply {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  readonly json: unknown
}

/** One request, with its answer read to the end. Redirects are not followed. */
export const ask = (url: string, init?: RequestInit): Effect.Effect<Reply> =>
  Effect.promise(async (signal) => {
    const response = await fetch(url, { ...init, redirect: "manual", signal })
    const bytes = Buffer.from(await response.arrayBuffer())
    const isJson = response.headers.get("content-type")?.startsWith("application/json") ?? false
    return {
      status: response.status,
      headers: response.headers,
      bytes,
      json: isJson && bytes.length > 0 ? JSON.parse(bytes.toString()) : undefined
    }
  })

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

/** Uploads a file like a browser. */
export const uploadFile = (server: FileServer, token: string, fileId: string, file: File): Effect.Effect<Reply> => {
  const body = new FormData()
  body.append("file", file)
  return ask(`${server.url}/${fileId}`, { method: "POST", headers: bearer(token), body })
}

export const BOUNDARY = "----form"
export const formHeaders = { "content-type": `multipart/form-data; boundary=${BOUNDARY}` }

export interface RawPart {
  readonly name?: string
  readonly filename?: string
  readonly type?: string
  readonly content: string
}

export const rawPart = ({ name = "file", filename, type = "text/plain", content }: RawPart): string =>
  `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${filename === undefined ? "" : `; filename="${filename}"`}\r\n` +
  `Content-Type: ${type}\r\n\r\n${content}\r\n`

export const rawForm = (...parts: ReadonlyArray<RawPart>): string => `${parts.map(rawPart).join("")}--${BOUNDARY}--\r\n`

/** Starts an upload over its own TCP socket. The caller sends the rest, or does not. */
export const beginUpload = Effect.fnUntraced(function* (
  server: Pick<FileServer, "port">,
  token: string,
  fileId: string,
  options: { readonly contentLength: number; readonly content: string; readonly start?: string }
) {
  const socket = yield* Effect.acquireRelease(
    Effect.callback<Socket>((resume) => {
      const socket = createConnection({ port: server.port, host: "127.0.0.1" }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  const answer: Array<Buffer> = []
  socket.on("data", (data) => answer.push(Buffer.from(data)))
  const head = [
    `POST /verdant/files/${fileId} HTTP/1.1`,
    "Host: server",
    `Authorization: Bearer ${token}`,
    `Content-Type: ${formHeaders["content-type"]}`,
    `Content-Length: ${options.contentLength}`
  ]
  const start = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="x"\r\nContent-Type: text/plain\r\n\r\n`
  socket.write(`${head.join("\r\n")}\r\n\r\n${options.start ?? start}${options.content}`)
  return { socket, answer: () => Buffer.concat(answer).toString() }
})
