/**
 * The canary: a document in the server's own library, to which each process writes on the way of a client's update: decoded,
 * verified, decided, committed and fanned out (docs/decisions/0068-a-canary-document.md). At an interval, so that the metrics say
 * how long that takes, and that it happens at all, also while no client writes. And after a commit failed, until one succeeds: a
 * balancer sends no client to a server that is not ready, so that no client's write could show that it is ready again.
 */
import { generateKeyPairSync, randomBytes, sign } from "node:crypto"
import { Cause, Clock, Duration, Effect, HashMap, Layer } from "effect"
import { serverAdministration } from "../../domain/Administration.ts"
import { blake2b256 } from "../../domain/Blake2b.ts"
import { canonicalJson } from "../../domain/CanonicalJson.ts"
import { PublicKey, SnapshotId } from "../../domain/Ids.ts"
import type { StreamKey } from "../../domain/Stream.ts"
import type { DocumentRefusal } from "../../domain/secsync/Commands.ts"
import { nextProof } from "../../domain/secsync/Proofs.ts"
import { authorClock, type DocumentState, lastClocks } from "../../domain/secsync/State.ts"
import { monotonicMillis } from "../../internal/monotonicMillis.ts"
import * as Metrics from "../../metrics/Metrics.ts"
import { Committer } from "../../rooms/Committer.ts"
import type { Outcome, Subscriber } from "../../rooms/RoomProtocol.ts"
import { Signatures } from "../../signatures/Signatures.ts"
import { type DocumentRoom, DocumentRooms } from "./Rooms.ts"
import * as Wire from "./Wire.ts"

export interface CanaryOptions {
  /**
   * How often each process writes to the canary. The log keeps its events for good, some 0.5 KB each: 0.5 GB a year for each
   * process at 30 seconds. Default: only while the last commit has failed.
   */
  readonly every?: Duration.Input
}

/** No client reaches it: the library of a token never begins with `@`. */
const KEY: StreamKey = { libraryId: serverAdministration.libraryId, streamId: "canary" }

/** Updates, and authors, of a snapshot after which the canary writes the next snapshot: a room that opens reads few events. */
const [MAX_UPDATES, MAX_AUTHORS] = [1000, 500] as const
/** Attempts to write, one after the other: another process may have written the snapshot first. */
const ATTEMPTS = 3
/** How often it tries whether the storage stores again. */
const TRIAL = "2 seconds"

const own = Metrics.canarySeconds.at({ writer: "own" })
const other = Metrics.canarySeconds.at({ writer: "other" })

export const layerCanary = ({ every }: CanaryOptions = {}) =>
  Layer.effectDiscard(singEvery(every === undefined ? undefined : Duration.fromInputUnsafe(every)))

const singEvery = Effect.fnUntraced(function* (every: Duration.Duration | undefined) {
  const committer = yield* Committer
  const rooms = yield* DocumentRooms
  const signatures = yield* Signatures
  const clock = yield* Clock.Clock
  const now = () => monotonicMillis(clock)
  const author = makeAuthor()
  const id = `@canary-${randomBytes(9).toString("base64url")}`
  const decode = Wire.makeDecoder()
  /** When the update that is under way was written; undefined: the last one was fanned out. */
  let writtenAt: number | undefined
  yield* Metrics.canaryWaitingSeconds.at({}).read(() => (writtenAt === undefined ? 0 : (now() - writtenAt) / 1000))

  const deliver: Subscriber["deliver"] = ({ event }) => {
    if (event.origin !== id) {
      return other.observe(Math.max(0, clock.currentTimeMillisUnsafe() - event.recordedAt) / 1000)
    }
    if (writtenAt !== undefined) own.observe((now() - writtenAt) / 1000)
    writtenAt = undefined
  }

  /** When it is stored, it is fanned out as well. */
  const write = Effect.fnUntraced(function* (room: DocumentRoom) {
    const message = decode(nextMessage(author, room.state()))
    if (message._tag !== "Snapshot" && message._tag !== "Update") return yield* Effect.die(new Error(message._tag))
    yield* signatures.verify([message.signed])
    const stored = { ...message, payloadHash: blake2b256(message.payload), payloadBytes: message.payload.length }
    const command =
      stored._tag === "Snapshot"
        ? ({ ...stored, _tag: "StoreSnapshot", used: false, sentEverything: true } as const)
        : ({ ...stored, _tag: "StoreUpdate", snapshotDueAfter: Number.POSITIVE_INFINITY } as const)
    const outcome = yield* Effect.callback<Outcome<DocumentRefusal>>((resume) =>
      room.submit(command, id, (outcome) => resume(Effect.succeed(outcome)))
    )
    return outcome._tag
  })

  /** Writes once, unless other processes are faster each time. */
  const writeOnce = Effect.fnUntraced(function* (room: DocumentRoom) {
    writtenAt ??= now()
    let outcome = yield* write(room)
    for (let attempt = 1; outcome === "Refused" && attempt < ATTEMPTS; attempt++) outcome = yield* write(room)
    // The storage is not the reason, and so no trial shows whether it stores.
    if (outcome === "Refused") committer.forgive()
  })

  const pause = Effect.suspend(() => {
    if (committer.failing()) return Effect.sleep(TRIAL)
    return every === undefined ? Effect.void : Effect.raceFirst(Effect.sleep(every), committer.untilFailing)
  })

  /** Sings until its room ends, or for as long as a trial is due. */
  const sing = Effect.gen(function* () {
    writtenAt ??= now()
    const room = yield* rooms.get(KEY)
    yield* room.subscribe({ id, deliver, relay: () => {}, fail: () => {} })
    while (!room.isDropped() && (every !== undefined || committer.failing())) {
      yield* writeOnce(room)
      yield* pause
    }
  }).pipe(
    Effect.scoped,
    Effect.catch((error) => Effect.logDebug("The canary waits", error)),
    Effect.catchDefect((defect) => {
      committer.forgive()
      return Effect.logError("The canary failed", Cause.die(defect))
    })
  )
  const rest = Effect.suspend(() => {
    if (every !== undefined || committer.failing()) return pause
    writtenAt = undefined
    return committer.untilFailing
  })
  const begin = every === undefined ? rest : Effect.void
  yield* Effect.forkScoped(Effect.andThen(begin, Effect.forever(Effect.andThen(sing, rest))))
})

interface Author {
  readonly pubKey: PublicKey
  readonly sign: (text: string) => string
}

const makeAuthor = (): Author => {
  const { privateKey, publicKey } = generateKeyPairSync("ed25519")
  return {
    pubKey: PublicKey.make(String(publicKey.export({ format: "jwk" }).x)),
    sign: (text) => sign(null, Buffer.from(text), privateKey).toString("base64url")
  }
}

/** The text of the author's next update, or of a snapshot when one is due. */
const nextMessage = (author: Author, state: DocumentState): string => {
  const { active, clocks, updates } = state
  const common = { docId: KEY.streamId, pubKey: author.pubKey }
  if (active === undefined || updates >= MAX_UPDATES || HashMap.size(clocks) >= MAX_AUTHORS) {
    return seal(author, "secsync_snapshot", {
      ...common,
      snapshotId: SnapshotId.make(randomText()),
      parentSnapshotId: active?.snapshotId ?? "",
      parentSnapshotProof: nextProof(active),
      parentSnapshotUpdateClocks: lastClocks(clocks)
    })
  }
  const clock = (authorClock(state, author.pubKey)?.clock ?? -1) + 1
  return seal(author, "secsync_update", { ...common, refSnapshotId: active.snapshotId, clock })
}

const randomText = (): string => randomBytes(24).toString("base64url")

const seal = (author: Author, domain: string, publicData: object): string => {
  // No client reads it, so there is nothing to encrypt.
  const [ciphertext, nonce] = ["AA", randomText()]
  const encoded = Buffer.from(canonicalJson(publicData)).toString("base64url")
  const signature = author.sign(domain + canonicalJson({ ciphertext, nonce, publicData: encoded }))
  return JSON.stringify({ ciphertext, nonce, publicData, signature })
}
