/**
 * A Secsync client as the real one behaves (secsync 0.5.0), with a set of texts in place of a document. Its ciphertexts can be
 * read: they hold the texts. It reports every frame that would fail or stall the real client.
 */
import type { DocumentId, PublicKey } from "@sealog/server/domain/Ids"
import { parseTarget } from "@sealog/server/protocols/secsync/ConnectionUrl"
import { SecsyncSessions } from "@sealog/server/protocols/secsync/Sessions"
import { childProof, type SealedSnapshot, type SealedUpdate } from "@sealog/server/testing"
import { Context } from "effect"
import { Device, type WorldOfDevice } from "./Device.ts"
import { grantOf } from "./ServerProcess.ts"

interface Frame {
  readonly type: string
  readonly snapshot?: SealedSnapshot
  readonly updates?: ReadonlyArray<SealedUpdate>
  readonly snapshotProofChain?: ReadonlyArray<{ readonly snapshotId: string; readonly parentSnapshotProof: string }>
  readonly snapshotId?: string
  readonly clock?: number
  readonly requiresNewSnapshot?: boolean
}

interface UpdateInFlight {
  readonly snapshotId: string
  readonly clock: number
  readonly texts: ReadonlyArray<string>
  readonly signature: string
}

interface SnapshotInFlight {
  readonly snapshot: SealedSnapshot
  /** The texts that wait for it, and all that it holds. */
  readonly texts: ReadonlyArray<string>
  readonly all: ReadonlyArray<string>
}

/** Refused snapshots in a row after which the real client ends its connection and opens another. */
const MAX_FAILURES = 5

export class SecsyncDevice extends Device {
  readonly documentId: string
  readonly pubKey: PublicKey
  /** Everything in the document, as its user sees it. */
  readonly texts = new Set<string>()
  /** Texts that the server has acknowledged as durable. */
  readonly acknowledged = new Set<string>()
  /**
   * Texts that it takes for acknowledged by mistake. The real client takes its updates back when one is refused, and may send
   * their texts again under the clock of one that the server is about to acknowledge
   * (docs/decisions/0002-answers-to-refused-updates.md). Its next snapshot brings them.
   */
  readonly mistaken = new Set<string>()
  private pending: Array<string> = []
  private inFlight: Array<UpdateInFlight> = []
  private snapshotInFlight: SnapshotInFlight | undefined
  private active: SealedSnapshot | undefined
  private clocks = new Map<string, number>()
  private clock = -1
  private isLoaded = false
  private failures = 0
  /** Whether it loads only what it lacks, and then begins to count its updates again, as the real client does. */
  private readonly isDelta: boolean
  /** Updates after which it makes a snapshot. */
  private readonly snapshotAfter: number

  constructor(name: string, world: WorldOfDevice, documentId: string) {
    super(name, world)
    this.documentId = documentId
    this.pubKey = this.randomText(43) as PublicKey
    this.isDelta = world.random.next(2) === 0
    this.snapshotAfter = 5 + world.random.next(60)
  }

  override get isSettled(): boolean {
    // The real client never forgets an update that was refused for a snapshot. The snapshot has brought its texts.
    const isSaved = this.inFlight.every(({ texts }) =>
      texts.every((text) => this.acknowledged.has(text) || this.mistaken.has(text))
    )
    return this.isLoaded && this.pending.length === 0 && isSaved && this.snapshotInFlight === undefined
  }

  override get state(): string {
    const { inFlight, isLoaded, pending, snapshotInFlight } = this
    return JSON.stringify({ isLoaded, pending, inFlight, snapshot: snapshotInFlight?.snapshot.publicData.snapshotId })
  }

  override get content(): string {
    return Array.from(this.texts).sort().join(" ")
  }

  /** Its user writes a text. */
  override write(text: string): void {
    this.texts.add(text)
    this.pending.push(text)
    this.flush()
  }

  /** Its app decides to send a snapshot. */
  sendSnapshotNow(): void {
    if (this.isLoaded && this.snapshotInFlight === undefined && this.texts.size > 0) this.sendSnapshot()
  }

  // ---- the connection

  protected override connect(): boolean {
    const { active, clocks, isDelta } = this
    const known =
      active === undefined
        ? ""
        : `&knownSnapshotId=${active.publicData.snapshotId}&knownSnapshotUpdateClocks=${encodeURIComponent(JSON.stringify(Object.fromEntries(clocks)))}`
    const url = `/${this.documentId}?sessionKey=token&mode=${isDelta ? "delta" : "complete"}${known}`
    return this.open((services, connection) =>
      Context.get(services, SecsyncSessions).open(connection, {
        ...parseTarget(url)!,
        documentId: this.documentId as DocumentId,
        grant: grantOf(this.name)
      })
    )
  }

  protected override disconnected(): void {
    this.isLoaded = false
    this.pending = [
      ...(this.snapshotInFlight?.texts ?? []),
      ...this.inFlight.flatMap(({ texts }) => texts),
      ...this.pending
    ]
    this.inFlight = []
    this.snapshotInFlight = undefined
    this.failures = 0
  }

  protected override receive(message: unknown): void {
    const frame = message as Frame
    switch (frame.type) {
      case "document":
        return this.load(frame)
      case "snapshot":
        return this.take(frame.snapshot!, [], true)
      case "update":
        return this.takeUpdate(frame as unknown as SealedUpdate)
      case "snapshot-saved":
        return this.snapshotSaved(frame.snapshotId!)
      case "snapshot-save-failed":
        return this.snapshotFailed(frame)
      case "update-saved":
        return this.updateSaved(frame.snapshotId!, frame.clock!)
      case "update-save-failed":
        return this.updateFailed(frame.requiresNewSnapshot === true)
    }
  }

  // ---- what the server sends

  private load(frame: Frame): void {
    const { active, isDelta } = this
    if (frame.snapshot === undefined && !isDelta && frame.updates!.length > 0)
      return this.report("was sent updates without a snapshot")
    this.clock = isDelta ? -1 : (this.clocks.get(this.pubKey) ?? -1)
    if (frame.snapshot !== undefined) this.take(frame.snapshot, frame.snapshotProofChain ?? [], false)
    // A complete document holds the updates that the client has.
    const isRepeated =
      frame.snapshot !== undefined && frame.snapshot.publicData.snapshotId === active?.publicData.snapshotId
    for (const update of frame.updates ?? []) this.takeUpdate(update, isRepeated)
    this.isLoaded = true
    if (frame.snapshot !== undefined) this.send(this.sealed({ docId: this.documentId, pubKey: this.pubKey }, []))
    this.flush()
  }

  /** `mayBeOld`: it may be the snapshot that the client has. */
  private take(snapshot: SealedSnapshot, chain: NonNullable<Frame["snapshotProofChain"]>, isBroadcast: boolean): void {
    const { active, clocks, pubKey } = this
    const { parentSnapshotId, parentSnapshotProof, parentSnapshotUpdateClocks, snapshotId } = snapshot.publicData
    if (snapshotId === active?.publicData.snapshotId) {
      if (isBroadcast) this.report("was sent a snapshot twice")
      return
    }
    if (active !== undefined) {
      const proof = childProof(active)
      if (chain.length > 0) {
        if (chain[0]!.parentSnapshotProof !== proof || chain.at(-1)!.snapshotId !== snapshotId)
          return this.report("was sent a proof chain that does not lead from its snapshot to the new one")
      } else {
        if (parentSnapshotId !== active.publicData.snapshotId || parentSnapshotProof !== proof)
          return this.report("was sent a snapshot that does not follow its own")
        const own = clocks.get(pubKey)
        if (own !== undefined && parentSnapshotUpdateClocks[pubKey] !== own)
          return this.report("was sent a snapshot that does not hold its own updates")
      }
    }
    this.active = snapshot
    this.clocks = new Map()
    this.clock = -1
    for (const text of this.textsOf(snapshot)) this.texts.add(text)
  }

  /** `mayBeKnown`: the client may have it. */
  private takeUpdate(update: SealedUpdate, mayBeKnown = false): void {
    const { clock, pubKey, refSnapshotId } = update.publicData
    if (refSnapshotId !== this.active?.publicData.snapshotId)
      return this.report("was sent an update of a snapshot that it does not have")
    const last = this.clocks.get(pubKey) ?? -1
    if (clock <= last) {
      if (!mayBeKnown) this.report("was sent an update twice")
      return
    }
    if (clock !== last + 1) return this.report(`was sent update ${clock} after ${last}`)
    this.clocks.set(pubKey, clock)
    if (pubKey === this.pubKey) this.clock = clock
    for (const text of this.textsOf(update)) this.texts.add(text)
  }

  private snapshotSaved(snapshotId: string): void {
    const { active, snapshotInFlight } = this
    if (snapshotInFlight?.snapshot.publicData.snapshotId !== snapshotId) return
    if (active !== undefined && active.publicData.snapshotId !== snapshotInFlight.snapshot.publicData.parentSnapshotId)
      return
    this.failures = 0
    this.active = snapshotInFlight.snapshot
    for (const text of snapshotInFlight.all) {
      this.acknowledged.add(text)
      this.mistaken.delete(text)
    }
    this.snapshotInFlight = undefined
    this.clocks = new Map()
    this.clock = -1
    this.flush()
  }

  private snapshotFailed(frame: Frame): void {
    this.failures += 1
    if (frame.snapshot !== undefined) this.take(frame.snapshot, frame.snapshotProofChain ?? [], false)
    for (const update of frame.updates ?? []) this.takeUpdate(update, true)
    this.pending = [...(this.snapshotInFlight?.texts ?? []), ...this.pending]
    this.snapshotInFlight = undefined
    if (this.failures < MAX_FAILURES) this.sendSnapshot()
    else this.hangUp()
  }

  private updateSaved(snapshotId: string, clock: number): void {
    this.failures = 0
    const saved = this.inFlight.find((update) => update.snapshotId === snapshotId && update.clock === clock)
    this.inFlight = this.inFlight.filter((update) => update !== saved)
    if (saved !== undefined) {
      const isStored = this.world.holds(saved.signature)
      for (const text of saved.texts) (isStored ? this.acknowledged : this.mistaken).add(text)
    }
    if (snapshotId === this.active?.publicData.snapshotId) {
      this.clocks.set(this.pubKey, Math.max(clock, this.clocks.get(this.pubKey) ?? -1))
    }
  }

  private updateFailed(requiresNewSnapshot: boolean): void {
    if (requiresNewSnapshot) {
      // The real client would send a second snapshot. The first one brings the same.
      if (this.snapshotInFlight === undefined) this.sendSnapshot()
      return
    }
    this.pending = [...this.inFlight.flatMap(({ texts }) => texts), ...this.pending]
    this.inFlight = []
    this.clock = this.clocks.get(this.pubKey) ?? -1
    this.flush()
  }

  // ---- what it sends

  private flush(): void {
    if (!this.isLoaded || this.snapshotInFlight !== undefined || this.pending.length === 0) return
    const updates = Array.from(this.clocks.values()).reduce((sum, clock) => sum + clock + 1, 0)
    if (this.active === undefined || updates >= this.snapshotAfter) return this.sendSnapshot()
    const texts = this.pending
    const snapshotId = this.active.publicData.snapshotId
    this.pending = []
    this.clock += 1
    const publicData = { docId: this.documentId, pubKey: this.pubKey, refSnapshotId: snapshotId, clock: this.clock }
    const update = this.sealed(publicData, texts)
    this.inFlight.push({ snapshotId, clock: this.clock, texts, signature: update.signature })
    this.send(update)
  }

  private sendSnapshot(): void {
    const publicData = {
      docId: this.documentId,
      pubKey: this.pubKey,
      snapshotId: this.randomText(32),
      parentSnapshotId: this.active?.publicData.snapshotId ?? "",
      parentSnapshotProof: childProof(this.active),
      parentSnapshotUpdateClocks: Object.fromEntries(this.clocks)
    }
    const all = Array.from(this.texts)
    const snapshot = this.sealed(publicData, all)
    const texts = this.pending
    this.pending = []
    this.snapshotInFlight = { snapshot, texts, all }
    this.send(snapshot)
  }

  private textsOf({
    ciphertext,
    nonce
  }: {
    readonly ciphertext: string
    readonly nonce: string
  }): ReadonlyArray<string> {
    const { plaintexts } = this.world
    const known = plaintexts.get(nonce)
    if (known !== undefined) return known
    const texts = Buffer.from(ciphertext, "base64url").toString().split(" ")
    plaintexts.set(nonce, texts)
    return texts
  }

  private sealed<PublicData extends object>(publicData: PublicData, texts: ReadonlyArray<string>) {
    const ciphertext = texts.length === 0 ? "AA" : Buffer.from(texts.join(" ")).toString("base64url")
    return { ciphertext, nonce: this.randomText(32), signature: this.randomText(86), publicData }
  }
}
