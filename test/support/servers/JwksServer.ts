/** A real HTTP server that publishes a JSON Web Key Set, and the issuer that signs with its keys. */
import { generateKeyPairSync, sign as signBytes, type webcrypto } from "node:crypto"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { Effect, type Scope } from "effect"

export type IssuerAlgorithm = "EdDSA" | "ES256" | "RS256"

export interface Issuer {
  readonly privateJwk: webcrypto.JsonWebKey
  readonly publicJwk: webcrypto.JsonWebKey
  /** Signs claims; they have the library "notes", the user "ada" and an hour, unless they say otherwise. */
  readonly sign: (claims?: Record<string, unknown>) => string
}

/** A new key pair, and what signs with it. */
export const makeIssuer = (kid: string | undefined, alg: IssuerAlgorithm = "EdDSA"): Issuer => {
  const { privateKey, publicKey } = makePair(alg)
  const header = { alg, ...(kid === undefined ? {} : { kid }) }
  return {
    privateJwk: { ...privateKey.export({ format: "jwk" }), ...header },
    publicJwk: { ...publicKey.export({ format: "jwk" }), ...header, use: "sig" },
    sign: (claims) => {
      const now = Math.floor(Date.now() / 1000)
      const payload = { sub: "ada", lib: "notes", iat: now, exp: now + 3600, ...claims }
      const signed = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".")
      const key = { key: privateKey, dsaEncoding: "ieee-p1363" } as const
      return `${signed}.${signBytes(alg === "EdDSA" ? null : "sha256", Buffer.from(signed), key).toString("base64url")}`
    }
  }
}

const makePair = (alg: IssuerAlgorithm) => {
  if (alg === "EdDSA") return generateKeyPairSync("ed25519")
  return alg === "ES256"
    ? generateKeyPairSync("ec", { namedCurve: "P-256" })
    : generateKeyPairSync("rsa", { modulusLength: 2048 })
}

export interface JwksServer {
  /** http://127.0.0.1:PORT/jwks.json */
  readonly url: string
  /** Requests that came so far. */
  readonly requests: () => number
  /** Publishes the public keys of these issuers from now on. */
  readonly publish: (...issuers: ReadonlyArray<Issuer>) => void
  /** Answers like this from now on; "silence": never. */
  readonly answer: (answer: { readonly status?: number; readonly body?: string } | "silence") => void
  /** Stops listening and drops all connections. */
  readonly stop: Effect.Effect<void>
  /** Listens again on the same port. */
  readonly start: Effect.Effect<void>
}

export const startJwksServer = (...issuers: ReadonlyArray<Issuer>): Effect.Effect<JwksServer, never, Scope.Scope> =>
  Effect.gen(function* () {
    let requests = 0
    let answer: Parameters<JwksServer["answer"]>[0] = {}
    const publish: JwksServer["publish"] = (...published) => {
      answer = { body: JSON.stringify({ keys: published.map(({ publicJwk }) => publicJwk) }) }
    }
    publish(...issuers)
    const server = createServer((_, response) => {
      requests += 1
      if (answer === "silence") return
      const { body = "", status = 200 } = answer
      response.writeHead(status, { "content-type": "application/json" }).end(body)
    })
    const listen = (port: number) =>
      Effect.callback<void>((resume) => void server.listen(port, "127.0.0.1", () => resume(Effect.void)))
    const stop = Effect.callback<void>((resume) => {
      server.close(() => resume(Effect.void))
      server.closeAllConnections()
    })
    yield* listen(0)
    yield* Effect.addFinalizer(() => Effect.sync(() => server.close().closeAllConnections()))
    const { port } = server.address() as AddressInfo
    return {
      url: `http://127.0.0.1:${port}/jwks.json`,
      requests: () => requests,
      ...{ publish, stop },
      answer: (next) => {
        answer = next
      },
      start: Effect.suspend(() => listen(port))
    }
  })
