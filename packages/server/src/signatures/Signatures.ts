/** The signatures of messages, checked exactly as the clients check them, on threads where there are cores for them. */
import { availableParallelism } from "node:os"
import { Context, Effect, Layer } from "effect"
import * as Metrics from "../metrics/Metrics.ts"
import { makeVerifierPool } from "./VerifierPool.ts"
import type { PackedUpdate } from "./verifyPacked.ts"
import type { SignedText } from "./verifySignature.ts"
import { type Signed, verifySigned } from "./verifySigned.ts"

export class Signatures extends Context.Service<
  Signatures,
  {
    /** Returns for each text whether its signature is genuine. A malformed signature or key is not genuine. */
    readonly verify: (signed: ReadonlyArray<SignedText>) => Effect.Effect<ReadonlyArray<boolean>>
    /**
     * `verify` without a fiber: calls `done` once, now or later. The server takes it where it can, so who wraps `verify` wraps both,
     * or leaves this one out.
     */
    readonly verifyThen?: (signed: ReadonlyArray<SignedText>, done: (genuine: ReadonlyArray<boolean>) => void) => void
    /**
     * Returns for each update whether its payload has the hash that is named, and its signature is genuine. Left out: a replay unpacks
     * all updates, and asks `verify`.
     */
    readonly verifyPacked?: (updates: ReadonlyArray<PackedUpdate>) => Effect.Effect<ReadonlyArray<boolean>>
  }
>()("@sealog/server/Signatures") {
  /** Verifies on the caller's thread. */
  static readonly layerInline = Layer.succeed(
    Signatures,
    Signatures.of({
      verify: (signed) => Effect.sync(() => verifyHere(signed)),
      verifyThen: (signed, done) => done(verifyHere(signed)),
      verifyPacked: (updates) => Effect.sync(() => verifyHere(updates))
    })
  )

  /** Verifies on `count` threads. */
  static readonly layerThreads = (count: number) =>
    Layer.effect(
      Signatures,
      Effect.gen(function* () {
        const pool = yield* Effect.acquireRelease(
          Effect.sync(() => makeVerifierPool(count)),
          (pool) => Effect.promise(pool.close)
        )
        yield* Metrics.signaturesWaiting.at({}).read(pool.waiting)
        const verify = (signed: ReadonlyArray<Signed>) =>
          Effect.callback<ReadonlyArray<boolean>>((resume) =>
            pool.verify(signed, (genuine) => resume(Effect.succeed(genuine)))
          )
        return Signatures.of({ verify, verifyThen: pool.verify, verifyPacked: verify })
      })
    )

  /** For a server: a thread for every core but the one that it runs on; inline on a single core. */
  static readonly layer = Layer.suspend(() => Signatures.layerBeside(1))

  /** For each process of a server: threads for its share of the cores but one; inline if it has no other. */
  static readonly layerBeside = (processes: number) =>
    Layer.suspend(() => {
      const threads = Math.min(Math.floor(availableParallelism() / processes) - 1, MAX_THREADS)
      return threads < 1 ? Signatures.layerInline : Signatures.layerThreads(threads)
    })

  /** For a command that mostly waits for signatures: a thread for every core; inline on a single core. */
  static readonly layerBatch = Layer.suspend(() => {
    const threads = Math.min(availableParallelism(), MAX_BATCH_THREADS)
    return threads === 1 ? Signatures.layerInline : Signatures.layerThreads(threads)
  })
}

const verifyHere = (signed: ReadonlyArray<Signed>): ReadonlyArray<boolean> => {
  Metrics.signaturesVerified.at({ thread: "main" }).add(signed.length)
  return signed.map(verifySigned)
}

/** All other work on an update is done on one core, for which more threads would only wait. */
const MAX_THREADS = 8

/** The one thread that reads events cannot keep more threads busy. */
const MAX_BATCH_THREADS = 4
