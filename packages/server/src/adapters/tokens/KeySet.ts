/**
 * The public keys that verify tokens, as a JSON Web Key Set (RFC 7517) in a file or at a URL. One fiber loads them: at the
 * start, at an interval, and when a token names a key that is not there. Through an outage it keeps the keys that it has.
 */
import { Clock, Deferred, Duration, Effect, Queue, Result } from "effect"
import type { JSONWebKeySet } from "jose"
import { errorText } from "../../domain/errorText.ts"
import { TokenKeysError } from "../../ports/TokenSecret.ts"
import { parseKeySet, type VerificationKey } from "./VerificationKey.ts"

export interface KeySetOptions {
  /**
   * Time between two loads from a URL. Default: 5 minutes. A key that the set no longer holds verifies tokens for that long.
   * A file is looked at every second, and read when it has changed.
   */
  readonly refreshInterval?: Duration.Input
  /**
   * Least time between two loads. Default: 1 second. A token that names an unknown key waits for the next load, so that a
   * flood of such tokens causes one load a second.
   */
  readonly refreshCooldown?: Duration.Input
  /** Time for one load. Default: 5 seconds. */
  readonly loadTimeout?: Duration.Input
  /**
   * How long the keys verify tokens while the set cannot be loaded. Default: 1 day. After it, clients are told to try again
   * later (1013, or 503), until a load succeeds.
   */
  readonly outage?: Duration.Input
}

/** Largest key set, in bytes. A larger one is not read. */
const MAX_BYTES = 256 * 1024
const FILE_INTERVAL = Duration.seconds(1)
/** Time until the next load after one that failed. */
const RETRY = Duration.seconds(15)
/** Time between two warnings while the set cannot be loaded, ms. */
const WARNING_INTERVAL = 60_000
/** Time that a token waits for a load, which may be about to begin. */
const PATIENCE = Duration.seconds(5)

export interface KeySet {
  /** The keys that it has. Fails with `TokenKeysError` if the last load is too long ago. */
  readonly keys: Effect.Effect<ReadonlyArray<VerificationKey>, TokenKeysError>
  /** Waits for a load that begins after this call. Fails with `TokenKeysError` if that load fails, or takes too long. */
  readonly refreshed: Effect.Effect<void, TokenKeysError>
}

/** Loads a key set from a path or an http(s) URL. Fails with `TokenKeysError` if it cannot be read, or has no usable key. */
export const makeKeySet = Effect.fnUntraced(function* (source: string | JSONWebKeySet, options: KeySetOptions = {}) {
  if (typeof source !== "string") {
    const keys = yield* usable(yield* parseKeySet(JSON.stringify(source), "the options"))
    return { keys: Effect.succeed(keys), refreshed: Effect.void } satisfies KeySet
  }
  const { cooldown, interval, load, outage } = yield* loaderOf(source, options)
  let keys = yield* Effect.flatMap(load, usable)
  let [startedAt, loadedAt, warnedAt] = [yield* Clock.currentTimeMillis, yield* Clock.currentTimeMillis, 0]
  let isFailing = false
  let next = Deferred.makeUnsafe<void, TokenKeysError>()
  const demand = yield* Queue.sliding<void>(1)

  const round = Effect.gen(function* () {
    const pause = isFailing ? Duration.min(interval, RETRY) : interval
    yield* Effect.timeoutOption(Queue.take(demand), pause)
    const early = startedAt + cooldown - (yield* Clock.currentTimeMillis)
    if (early > 0) yield* Effect.sleep(early)
    const asked = next
    next = Deferred.makeUnsafe()
    startedAt = yield* Clock.currentTimeMillis
    const loaded = yield* Effect.result(load)
    const now = yield* Clock.currentTimeMillis
    isFailing = Result.isFailure(loaded)
    if (Result.isSuccess(loaded)) {
      if (namesOf(loaded.success) !== namesOf(keys)) {
        yield* Effect.logInfo(`The public keys of tokens have changed: ${namesOf(loaded.success) || "none is left"}`)
      }
      keys = loaded.success
      loadedAt = now
      warnedAt = 0
    } else if (now - warnedAt >= WARNING_INTERVAL) {
      warnedAt = now
      const until = new Date(loadedAt + Duration.toMillis(outage)).toISOString()
      yield* Effect.logWarning(`${loaded.failure.message} The keys of before verify tokens until ${until}.`)
    }
    Deferred.doneUnsafe(asked, Effect.asVoid(Effect.fromResult(loaded)))
  })
  yield* Effect.forkScoped(Effect.forever(round))

  return {
    keys: Effect.flatMap(Clock.currentTimeMillis, (now) =>
      now - loadedAt <= Duration.toMillis(outage) ? Effect.succeed(keys) : Effect.fail(unavailable(source, "for long"))
    ),
    refreshed: Effect.suspend(() => {
      const load = next
      Queue.offerUnsafe(demand, undefined)
      return Effect.timeoutOrElse(Deferred.await(load), {
        duration: PATIENCE,
        orElse: () => Effect.fail(unavailable(source, "in time"))
      })
    })
  } satisfies KeySet
})

const usable = (keys: ReadonlyArray<VerificationKey>): Effect.Effect<ReadonlyArray<VerificationKey>, TokenKeysError> =>
  keys.length > 0
    ? Effect.succeed(keys)
    : Effect.fail(
        new TokenKeysError({
          reason: "invalid",
          message: "The key set holds no key that can verify tokens.",
          advice: "public keys for EdDSA (Ed25519), ES256 (P-256) or RS256 (RSA, 2048 bits or more)"
        })
      )

const namesOf = (keys: ReadonlyArray<VerificationKey>): string =>
  keys.map(({ alg, kid, thumbprint }) => `${kid ?? thumbprint} (${alg})`).join(", ")

// ---------------------------------------------------------------------------------------------------------- loading

const loaderOf = Effect.fnUntraced(function* (source: string, options: KeySetOptions) {
  const duration = (input: Duration.Input | undefined, byDefault: Duration.Duration) =>
    input === undefined ? byDefault : Duration.fromInputUnsafe(input)
  const isUrl = /^https?:/i.test(source)
  if (isUrl) yield* checkUrl(source)
  const name = isUrl ? nameOfUrl(source) : source
  const timeout = duration(options.loadTimeout, Duration.seconds(5))
  const load = isUrl ? fetchText(source) : readText(source)
  let last: { readonly text: string; readonly keys: ReadonlyArray<VerificationKey> } | undefined
  return {
    cooldown: Duration.toMillis(duration(options.refreshCooldown, Duration.seconds(1))),
    interval: isUrl ? duration(options.refreshInterval, Duration.minutes(5)) : FILE_INTERVAL,
    outage: duration(options.outage, Duration.days(1)),
    load: load.pipe(
      Effect.timeoutOrElse({ duration: timeout, orElse: () => Effect.fail("it took too long") }),
      Effect.mapError((problem) => unavailable(source, problem)),
      Effect.flatMap((text) =>
        text === last?.text
          ? Effect.succeed(last.keys)
          : Effect.map(parseKeySet(text, name), (keys) => {
              last = { text, keys }
              return keys
            })
      )
    )
  }
})

const checkUrl = (source: string): Effect.Effect<void, TokenKeysError> => {
  const url = URL.canParse(source) ? new URL(source) : undefined
  if (url !== undefined && url.username === "" && url.password === "") return Effect.void
  return Effect.fail(
    new TokenKeysError({
      reason: "invalid",
      // The message leaves out the URL, which may hold a password.
      message: url === undefined ? "The URL of the key set is not a URL." : "The URL of the key set names a user.",
      advice: "a file, or a URL without a user, such as https://auth.example.org/.well-known/jwks.json"
    })
  )
}

/** The URL without its query, which may hold a secret. */
const nameOfUrl = (source: string): string => {
  const { origin, pathname } = new URL(source)
  return origin + pathname
}

const unavailable = (source: string, problem: string): TokenKeysError => {
  const isUrl = /^https?:/i.test(source)
  return new TokenKeysError({
    reason: "unavailable",
    message: `The public keys at ${isUrl ? nameOfUrl(source) : source} could not be loaded: ${problem}.`,
    advice: isUrl ? "the same URL with curl, from this machine" : "a file that this user can read"
  })
}

const fetchText = (url: string): Effect.Effect<string, string> =>
  Effect.tryPromise({
    try: async (signal) => {
      // A redirect could lead to a machine that must not choose the keys.
      const headers = { accept: "application/jwk-set+json, application/json" }
      const response = await fetch(url, { signal, redirect: "error", headers })
      if (response.status !== 200) {
        await response.body?.cancel()
        throw new Error(`it answered ${response.status}`)
      }
      return await textOf(response)
    },
    catch: problemOf
  })

const textOf = async (response: Response): Promise<string> => {
  const chunks: Array<Uint8Array> = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    length += chunk.length
    if (length > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

/** Reads the file only if it has changed. */
const readText = (path: string): Effect.Effect<string, string> => {
  let last: { readonly state: string; readonly text: string } | undefined
  return Effect.tryPromise({
    try: async () => {
      const { readFile, stat } = await import("node:fs/promises")
      const { ctimeMs, ino, mtimeMs, size } = await stat(path)
      if (size > MAX_BYTES) throw new Error(`it is larger than ${MAX_BYTES} bytes`)
      const state = [ino, size, mtimeMs, ctimeMs].join()
      if (last?.state !== state) last = { state, text: await readFile(path, "utf8") }
      return last.text
    },
    catch: problemOf
  })
}

const problemOf = (error: unknown): string => {
  if (!(error instanceof Error)) return errorText(error)
  // fetch says "fetch failed" alone, and why in the cause.
  return error.cause instanceof Error && error.cause.message !== "" ? error.cause.message : error.message
}
