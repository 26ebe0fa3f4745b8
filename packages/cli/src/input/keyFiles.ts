/** Files of keys: a private or public JSON Web Key each, or a JSON Web Key Set. */
import { JwtAccess } from "@sealog/server/adapters"
import * as Effect from "effect/Effect"
import { CliFailure } from "../output/CliFailure.ts"
import { readSecretFile } from "./secrets.ts"

export interface KeyOfFile {
  readonly file: string
  readonly isPrivate: boolean
  /** The public key alone, with the name by which tokens name it. */
  readonly publicJwk: Readonly<Record<string, unknown>>
}

/** The keys in the files. Fails with `KEY_FILE_INVALID` if one holds anything else. */
export const keysOfFiles = (files: ReadonlyArray<string>): Effect.Effect<ReadonlyArray<KeyOfFile>, CliFailure> =>
  Effect.gen(function* () {
    const keys: Array<KeyOfFile> = []
    for (const file of files) {
      const content = parse(readSecretFile(file))
      for (const jwk of [content?.["keys"] ?? content].flat()) {
        const publicJwk = isRecord(jwk) ? yield* JwtAccess.publicKeyOf(jwk) : undefined
        if (publicJwk === undefined) {
          return yield* Effect.fail(
            new CliFailure({
              code: "KEY_FILE_INVALID",
              message: `${file} holds no key for EdDSA, ES256 or RS256.`,
              exitCode: 2,
              tryThis: "a file that `sync-admin token keys make` wrote, or a JSON Web Key of such a type"
            })
          )
        }
        keys.push({ file, isPrivate: isRecord(jwk) && jwk["d"] !== undefined, publicJwk })
      }
    }
    return keys
  })

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** The JSON object of a text. The parser's error would show a part of the text, which may be a private key. */
const parse = (text: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}
