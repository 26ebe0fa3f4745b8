/** The refusal of an HTTP request in Verdant's words: `{"code":4012}`, with the status that the code starts with (401). */
import { Schema } from "effect"
import { HttpServerResponse } from "effect/http"

/** Verdant's codes, and codes of the same shape for refusals that Verdant does not have. */
export const Code = {
  invalidRequest: 4000,
  bodyRequired: 4001,
  noToken: 4010,
  invalidToken: 4011,
  tokenExpired: 4012,
  forbidden: 4030,
  notFound: 4040,
  versionAhead: 4090,
  tooSlow: 4080,
  tooLarge: 4130,
  libraryFull: 4131,
  rangeNotSatisfiable: 4160,
  typeRefused: 4150,
  unexpected: 5000,
  noFileStorage: 5010,
  unavailable: 5030,
  suspended: 5031
} as const

export class HttpRefusal extends Schema.TaggedError<HttpRefusal>()("Refused", { code: Schema.Finite }) {
  override get message(): string {
    return `The request was refused with the code ${this.code}`
  }
}

/** In seconds. A library stays suspended until a person resumes it. */
const retryAfter: ReadonlyMap<number, { readonly "retry-after": string }> = new Map([
  [Code.unavailable, { "retry-after": "1" }],
  [Code.suspended, { "retry-after": "15" }]
])

/**
 * The response to a refused request, with an object as its body. Verdant's own server encodes the body twice, which makes
 * its client treat an expired token as a permanent failure.
 */
export const refusal = ({ code }: HttpRefusal): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe(
    { code },
    {
      status: Math.floor(code / 10),
      headers: { "cache-control": "no-store", ...retryAfter.get(code) }
    }
  )
