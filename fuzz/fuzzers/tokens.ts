/** Tokens: changed by a forger, and signed with the real secret over hostile claims. */
import { createHmac } from "node:crypto"
import * as JwtAccess from "@sealog/server/adapters/JwtAccess"
import { bearerOf } from "@sealog/server/edge/http/BearerToken"
import { Access, Grant } from "@sealog/server/ports/Access"
import { Effect, Exit, Redacted, Schema } from "effect"
import type { Random } from "../../test/support/random.ts"
import { expect, type Fuzzer, refusedWith, textOf } from "../Fuzzer.ts"
import { chance, oneOf } from "../inputs/choose.ts"
import { mutate, mutateJson } from "../inputs/mutate.ts"
import { SECRET } from "../inputs/samples.ts"

const FAR = 4_000_000_000
const CLAIMS: ReadonlyArray<object> = [
  { sub: "ada", lib: "notes", type: 0, exp: FAR, iat: 1_700_000_000, jti: "id" },
  { sub: "ada", lib: "notes", type: "4", exp: FAR, docs: ["welcome", "other"] },
  { sub: "ada", lib: "notes", exp: FAR, iat: 1.5, nbf: 1, aud: "x", iss: "y", url: "http://server/verdant" }
]
const HEADER = { alg: "HS256", typ: "JWT" }

const base64 = (text: string) => Buffer.from(text).toString("base64url")

/** Signs any texts as a token's header and payload. */
export const signToken = (header: string, payload: string): string => {
  const signed = `${base64(header)}.${base64(payload)}`
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`
}

const REAL = CLAIMS.map((claims) => signToken(JSON.stringify(HEADER), JSON.stringify(claims)))
const isGrant = Schema.is(Grant)

export const token: Fuzzer = {
  name: "token",
  allows: "a grant, or `TokenRefused`.",
  inputs: 2000,
  open: Effect.gen(function* () {
    const access = yield* Access
    return {
      input: (random: Random) => {
        if (chance(random, 30)) return mutate(random, REAL)
        const header = chance(random, 20) ? mutateJson(random, HEADER) : JSON.stringify(HEADER)
        return Buffer.from(signToken(header, mutateJson(random, oneOf(random, CLAIMS))))
      },
      feed: async (input: Uint8Array) => {
        const exit = await Effect.runPromiseExit(access.verify(textOf(input)))
        if (Exit.isFailure(exit)) return refusedWith(exit, "TokenRefused")
        expect(isGrant(exit.value), "a grant has the declared fields")
        return "value"
      }
    }
  }).pipe(Effect.provide(JwtAccess.layerTokens([Redacted.make(SECRET)])), Effect.orDie)
}

export const bearerHeader: Fuzzer = {
  name: "bearer-header",
  allows: 'a token, "" or undefined; never throws.',
  inputs: 30_000,
  open: Effect.succeed({
    input: (random) => mutate(random, ["Bearer a.b.c\n", "\nBearer,a.b.c", "bearer a.b.c\nBearer, x", "Basic YQ=="]),
    feed: (input) => {
      const [authorization, protocols] = textOf(input).split("\n")
      const token = bearerOf(authorization || undefined, protocols || undefined)
      expect(token === undefined || !/[ ,]/.test(token), "a token has no space")
      return token ? "value" : "refusal"
    }
  })
}
