/** A Yjs text that the unmodified `secsync` client keeps in sync, end-to-end encrypted, with the cursors of its writers. */
import * as Secsync from "secsync"
import { createActor } from "xstate"
import * as awarenessProtocol from "y-protocols/awareness"
import * as Y from "yjs"
import { makeValue, type Value } from "../../shared/Value.ts"
import { authEndpoint, type Person } from "../session.ts"
import type { NotebookAddress } from "./notebookAddress.ts"
import type { Sodium } from "./sodium.ts"

export interface Status {
  /** `locked`: the key in the address does not decrypt what the server has. */
  readonly connection: "connecting" | "online" | "offline" | "refused" | "locked"
  /** Changes that the server has not acknowledged. */
  readonly waiting: number
}

export interface SealedDocument {
  readonly text: Y.Text
  readonly awareness: awarenessProtocol.Awareness
  /** The public key with which this window signs: the only name of its writer that the server knows. */
  readonly author: string
  readonly status: Value<Status>
  readonly people: Value<ReadonlyArray<Person>>
  /** The colours of people who were here since this window opened, by the public key with which they sign. */
  readonly colors: Value<ReadonlyMap<string, string>>
  readonly goOffline: () => void
  readonly goOnline: () => void
}

/** A person, as the window tells the others. */
interface Writer extends Person {
  readonly author: string
}

/** Updates after which a client sends a snapshot: few, so that the page shows some. */
const SNAPSHOT_EVERY = 40

export const openDocument = async (
  sodium: Sodium,
  { documentId, key }: NotebookAddress,
  person: Person
): Promise<SealedDocument> => {
  const doc = new Y.Doc()
  const awareness = new awarenessProtocol.Awareness(doc)
  const signatureKeyPair = Secsync.createSignatureKeyPair(sodium)
  const author = sodium.to_base64(signatureKeyPair.publicKey)
  const { accessToken } = await (await fetch(authEndpoint(person.id))).json()

  const actor = createActor(Secsync.createSyncMachine(), {
    input: {
      documentId,
      sodium,
      signatureKeyPair,
      websocketEndpoint: location.origin.replace(/^http/, "ws"),
      websocketSessionKey: accessToken,
      getSnapshotKey: () => key,
      getNewSnapshotData: () => ({ data: Y.encodeStateAsUpdateV2(doc), key, publicData: {} }),
      shouldSendSnapshot: ({ snapshotUpdatesCount }) => snapshotUpdatesCount >= SNAPSHOT_EVERY,
      applySnapshot: (snapshot) => Y.applyUpdateV2(doc, snapshot, REMOTE),
      applyChanges: (changes: ReadonlyArray<Uint8Array>) => {
        for (const change of changes) Y.applyUpdateV2(doc, change, REMOTE)
      },
      serializeChanges: (changes) => Secsync.serializeUint8ArrayUpdates(changes, sodium),
      deserializeChanges: (changes) => Secsync.deserializeUint8ArrayUpdates(changes, sodium),
      applyEphemeralMessage: (message) => awarenessProtocol.applyAwarenessUpdate(awareness, message, REMOTE),
      isValidClient: () => true
    }
  })

  // ------------------------------------------------------------------------------------------------------------ status

  const status = makeValue<Status>({ connection: "connecting", waiting: 0 })
  let isMeantOnline = true
  let underWay: ReadonlyArray<Uint8Array> = []
  let wasConnected = false
  let sessions: ReadonlySet<string> = new Set()
  actor.subscribe((snapshot) => {
    const {
      _documentDecryptionState,
      _ephemeralMessagesSession,
      _pendingChangesQueue,
      _snapshotInFlight,
      _updatesInFlight
    } = snapshot.context
    const isConnected = snapshot.matches("connected")
    // When its connection ends, the client forgets the changes of a snapshot in flight, so they are added again.
    const forgotten = wasConnected && !isConnected ? underWay : []
    wasConnected = isConnected
    underWay = _snapshotInFlight?.changes ?? []
    if (forgotten.length > 0) actor.send({ type: "ADD_CHANGES", data: [...forgotten] })

    const active = snapshot.context._snapshotInfosWithUpdateClocks.at(-1)?.snapshotId
    const inFlight = _updatesInFlight.filter(({ snapshotId }) => snapshotId === active).length
    const isLoaded = isConnected && _documentDecryptionState === "complete"
    const connection = !isMeantOnline
      ? "offline"
      : isLoaded
        ? "online"
        : _documentDecryptionState === "failed"
          ? "locked"
          : snapshot.matches("noAccess") || snapshot.matches("failed")
            ? "refused"
            : "connecting"
    const waiting = _pendingChangesQueue.length + inFlight + underWay.length
    const now = status.get()
    if (now.connection !== connection || now.waiting !== waiting) status.set({ connection, waiting })

    // A client proved a session, and drops messages of before. A client that returns has a new session under its old key.
    const proven = Object.values(_ephemeralMessagesSession?.validSessions ?? {}).map(({ sessionId }) => sessionId)
    const isNew = proven.some((id) => !sessions.has(id))
    sessions = new Set(proven)
    // A client that returns to a document without news does not begin its session, until it sends something.
    const hasReturned = connection === "online" && now.connection !== "online"
    if (isNew || hasReturned) repeatCursor()
  })
  doc.on("updateV2", (update: Uint8Array, origin: unknown) => {
    if (origin !== REMOTE) actor.send({ type: "ADD_CHANGES", data: [update] })
  })

  // ----------------------------------------------------------------------------------------------------------- cursors

  const sendCursor = () => {
    if (status.get().connection !== "online") return
    actor.send({
      type: "ADD_EPHEMERAL_MESSAGE",
      data: awarenessProtocol.encodeAwarenessUpdate(awareness, [doc.clientID])
    })
  }
  /** A client that forgot this window, because it was offline, takes the same cursor only under a new clock. */
  const repeatCursor = () => {
    const state = awareness.getLocalState()
    if (state !== null) awareness.setLocalState(state)
  }
  const people = makeValue<ReadonlyArray<Person>>([person])
  const colors = makeValue<ReadonlyMap<string, string>>(new Map([[author, person.color]]))
  awareness.on("change", () => {
    const others: ReadonlyArray<Writer> = Array.from(awareness.getStates(), ([id, { user }]) =>
      id === doc.clientID ? [] : (user ?? [])
    ).flat()
    people.set([person, ...others])
    if (others.some((other) => !colors.get().has(other.author)))
      colors.set(new Map([...colors.get(), ...others.map((other) => [other.author, other.color] as const)]))
  })
  awareness.on("update", (_: unknown, origin: unknown) => {
    if (origin !== REMOTE) sendCursor()
  })
  const showCursor = () => awareness.setLocalState({ user: { ...person, author, colorLight: `${person.color}33` } })
  const hideCursor = () => awareness.setLocalState(null)
  const forgetOthers = () => {
    const others = [...awareness.getStates().keys()].filter((id) => id !== doc.clientID)
    awarenessProtocol.removeAwarenessStates(awareness, others, REMOTE)
  }
  showCursor()
  addEventListener("pagehide", hideCursor)

  actor.start()
  return {
    text: doc.getText("text"),
    awareness,
    author,
    status,
    people,
    colors,
    goOffline: () => {
      hideCursor()
      isMeantOnline = false
      // The client seals and sends the message behind `hideCursor` before the next timer, unless its connection has ended.
      setTimeout(() => {
        if (isMeantOnline) return
        forgetOthers()
        actor.send({ type: "DISCONNECT" })
      })
    },
    goOnline: () => {
      isMeantOnline = true
      showCursor()
      actor.send({ type: "CONNECT" })
    }
  }
}

const REMOTE = Symbol("remote")
