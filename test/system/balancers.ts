/** The shipped load balancer configurations, started with other ports and a certificate of their own. */
import { mkdtempSync, readFileSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { getCACertificates, setDefaultCACertificates } from "node:tls"
import { assert } from "@effect/vitest"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { ADMIN_API_PATH, type AdminAnswers } from "@sealog/server/admin/api"
import { Array, Effect, Redacted } from "effect"
import { generate } from "selfsigned"
import { freePort } from "../support/network/freePort.ts"
import { type ServerProcess, type ServerProcessOptions, spawnServer } from "../support/servers/ServerProcess.ts"
import { TOKEN_SECRET } from "../support/servers/TestServer.ts"
import { type Program, runProgram } from "./Binary.ts"

const deploy = join(import.meta.dirname, "../../deploy")

export interface BalancerProgram {
  readonly program: Program
  readonly args: (file: string) => ReadonlyArray<string>
  readonly file: string
}

export const balancers: ReadonlyArray<BalancerProgram> = [
  { program: "haproxy", file: "haproxy.cfg", args: (file) => ["-W", "-db", "-f", file] },
  {
    program: "nginx",
    file: "nginx.conf",
    // nginx deletes its pid file when it ends, so it gets one of its own.
    args: (file) => ["-c", file, "-g", `daemon off; pid ${file}.pid; error_log stderr;`]
  }
]

/** A certificate for localhost that every client of this process trusts. */
const makeCertificate = async () => {
  const certificate = await generate([{ name: "commonName", value: "localhost" }], {
    extensions: [{ name: "subjectAltName", altNames: [{ type: 2, value: "localhost" }] }]
  })
  setDefaultCACertificates([...getCACertificates("default"), certificate.cert])
  return certificate
}

// One for all balancers: a client would take any of the same name for the issuer of the others.
let certificate: ReturnType<typeof makeCertificate> | undefined

/** Writes the certificate of localhost into a folder, as the balancers read it. */
export const writeCertificate = async (folder: string): Promise<void> => {
  certificate ??= makeCertificate()
  const { cert, private: key } = await certificate
  writeFileSync(join(folder, "fullchain.pem"), cert)
  writeFileSync(join(folder, "privkey.pem"), key)
  writeFileSync(join(folder, "sealog.pem"), `${cert}\n${key}`)
}

/** Starts a balancer with its shipped configuration in front of two servers. */
export const startBalancer = (
  { args, file, program }: BalancerProgram,
  [one, two]: readonly [ServerProcess, ServerProcess]
) =>
  Effect.gen(function* () {
    const folder = mkdtempSync(join(tmpdir(), "sealog-deploy-"))
    yield* Effect.promise(() => writeCertificate(folder))
    const [port, tlsPort] = [yield* Effect.promise(freePort), yield* Effect.promise(freePort)]
    const ports: Readonly<Record<string, number>> = { 4000: port, 443: tlsPort, 4001: one.port, 4002: two.port }
    const text = readFileSync(join(deploy, file), "utf8")
      .replace(/(?<=:|listen )(400\d|443)\b/g, (shipped) => {
        const other = ports[shipped]
        assert.isDefined(other, shipped)
        return String(other)
      })
      .replaceAll("/etc/ssl/sealog", folder)
    writeFileSync(join(folder, file), text)
    yield* runProgram(program, args(join(folder, file)), port)
    return { port, tlsPort }
  })

/** A server whose connections a test may ask for. */
export const spawnAsked = (database: string, options: ServerProcessOptions = {}) =>
  spawnServer(database, { ...options, args: ["--admin", ...(options.args ?? [])] })

/** The names of the libraries or documents to which clients of a server are connected, as the server says: one for each client. */
const connectedTo = Effect.fnUntraced(function* (server: ServerProcess) {
  const { mintAdmin } = yield* Effect.orDie(JwtAccess.makeVerifier({ secrets: [Redacted.make(TOKEN_SECRET)] }))
  const headers = { authorization: `Bearer ${yield* mintAdmin({ name: "grace" })}` }
  const response = yield* Effect.promise(() =>
    fetch(`http://127.0.0.1:${server.port}${ADMIN_API_PATH}/connections`, { headers })
  )
  assert.strictEqual(response.status, 200)
  const connections: ReadonlyArray<AdminAnswers["Connection"]> = yield* Effect.promise(() => response.json())
  return connections.map(({ libraryId, documentId }) => `${libraryId}/${documentId ?? ""}`)
})

/** Fails unless each name has this many clients, all of them on one server, and every server has some. */
export const assertShared = Effect.fnUntraced(function* (
  servers: ReadonlyArray<ServerProcess>,
  each: number,
  all: number
) {
  const connected = yield* Effect.forEach(servers, connectedTo)
  for (const names of connected) {
    const clients = Object.values(Array.groupBy(names, (name) => name))
    assert.isAbove(clients.length, 0, "a server has no client")
    for (const same of clients) assert.lengthOf(same, each, same[0])
  }
  assert.lengthOf(connected.flat(), all)
})
