/** Who wrote a message: its signature, checked exactly as the clients check it. */
import { availableParallelism } from "node:os"
import { Context, Effect, Layer } from "effect"
import { makeVerifierPool } from "./VerifierPool.ts"
import { type SignedText, verifySignature } from "./verifySignature.ts"

export class Signatures extends Context.Service<
  Signatures,
  {
    /** Whether each is genuine, in the order given. What cannot be a signature or a key is not. */
    readonly verify: (signed: ReadonlyArray<SignedText>) => Effect.Effect<ReadonlyArray<boolean>>
  }
>()("@sealog/server/Signatures") {
  /** On the caller's thread. */
  static readonly layerInline = Layer.succeed(
    Signatures,
    Signatures.of({ verify: (signed) => Effect.sync(() => signed.map(verifySignature)) })
  )

  /** On threads of their own. */
  static readonly layerThreads = (count: number) =>
    Layer.effect(
      Signatures,
      Effect.gen(function* () {
        const pool = yield* Effect.acquireRelease(
          Effect.sync(() => makeVerifierPool(count)),
          (pool) => Effect.promise(pool.close)
        )
        return Signatures.of({
          verify: (signed) =>
            Effect.callback((resume) => pool.verify(signed, (genuine) => resume(Effect.succeed(genuine))))
        })
      })
    )

  /** A thread for every core but the one that the rest runs on; inline where there is one core alone. */
  static readonly layer = Layer.suspend(() => {
    const threads = Math.min(availableParallelism() - 1, MAX_THREADS)
    return threads === 0 ? Signatures.layerInline : Signatures.layerThreads(threads)
  })

  /** A thread for every core, for whoever has little else to do than to wait for them; inline where there is one core. */
  static readonly layerBatch = Layer.suspend(() => {
    const threads = Math.min(availableParallelism(), MAX_BATCH_THREADS)
    return threads === 1 ? Signatures.layerInline : Signatures.layerThreads(threads)
  })
}

/** The rest of an update's way is on one core, which more threads than these would only wait for. */
const MAX_THREADS = 8

/** More are not given enough to do by the one thread that reads and folds. */
const MAX_BATCH_THREADS = 4
