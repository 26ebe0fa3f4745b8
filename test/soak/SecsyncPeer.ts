/** A Secsync client. Its document is each author's newest number; ciphertexts can be read. */
import {
  ephemeralMessage,
  makeAuthor,
  type SealedSnapshot,
  type SealedUpdate,
  snapshotMessage,
  updateMessage
} from "@sealog/server/testing"
import { type Message, Peer, type Soak } from "./Peer.ts"

const MAX_IN_FLIGHT = 8
const UPDATES_PER_SNAPSHOT = 60
/** How long a document may lack what was acknowledged before that counts as lost. */
const MAX_BEHIND_MILLIS = 60_000

type Numbers = Readonly<Record<string, number>>

const encode = (numbers: Numbers): string => Buffer.from(JSON.stringify(numbers)).toString("base64url")
const decode = ({ ciphertext }: { readonly ciphertext: string }): Numbers =>
  JSON.parse(Buffer.from(ciphertext, "base64url").toString())

export class SecsyncPeer extends Peer {
  private readonly documentId: string
  private readonly token: string
  private readonly author = makeAuthor()
  private readonly numbers = new Map<string, number>()
  private readonly snapshotAfter: number
  private acknowledged = 0
  private behindSince: number | undefined
  private active: SealedSnapshot | undefined
  private clocks = new Map<string, number>()
  private isLoaded = false
  /** The numbers of updates that wait for an answer, by clock. */
  private inFlight = new Map<number, number>()
  private snapshotInFlight: { readonly snapshot: SealedSnapshot; readonly newest: number } | undefined

  constructor(name: string, soak: Soak, documentId: string, token: string) {
    super(name, soak)
    this.documentId = documentId
    this.token = token
    this.snapshotAfter = UPDATES_PER_SNAPSHOT + soak.random.next(UPDATES_PER_SNAPSHOT)
  }

  override get content(): string {
    return JSON.stringify(Array.from(this.numbers).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  }

  override get isSettled(): boolean {
    return this.isLoaded && this.acknowledged >= this.newest && this.snapshotInFlight === undefined
  }

  override write(): void {
    this.newest += 1
    this.flush()
  }

  /** Sends the newest number, unless it was acknowledged. */
  flush(): void {
    if (!this.isLoaded || this.acknowledged >= this.newest || this.snapshotInFlight !== undefined) return
    this.take({ [this.author.pubKey]: this.newest })
    const updates = Array.from(this.clocks.values()).reduce((sum, clock) => sum + clock + 1, 0)
    if (this.active === undefined || updates >= this.snapshotAfter) {
      if (this.inFlight.size === 0) this.sendSnapshot()
      return
    }
    const isOnItsWay = Array.from(this.inFlight.values()).includes(this.newest)
    if (isOnItsWay || this.inFlight.size >= MAX_IN_FLIGHT) return
    const clock = (this.clocks.get(this.author.pubKey) ?? -1) + 1 + this.inFlight.size
    const refSnapshotId = this.active.publicData.snapshotId
    const ciphertext = encode({ [this.author.pubKey]: this.newest })
    this.inFlight.set(clock, this.newest)
    this.send(updateMessage(this.author, { docId: this.documentId, ciphertext, refSnapshotId, clock }))
  }

  override forgive(): void {
    this.acknowledged = 0
  }

  protected override address(url: string) {
    return { url: `${url}/${this.documentId}?sessionKey=${this.token}`, protocols: [] }
  }

  protected override opened(): void {}

  protected override closed(): void {
    this.isLoaded = false
    this.inFlight.clear()
    this.snapshotInFlight = undefined
  }

  protected override receive(message: Message): void {
    switch (message.type) {
      case "document":
        return this.load(message["snapshot"] as SealedSnapshot | undefined, message["updates"] as Array<SealedUpdate>)
      case "snapshot":
        this.follow(message["snapshot"] as SealedSnapshot)
        return this.flush()
      case "update":
        return this.takeUpdate(message as unknown as SealedUpdate)
      case "update-saved": {
        const clock = Number(message["clock"])
        if (message["snapshotId"] !== this.active?.publicData.snapshotId) return
        this.acknowledged = Math.max(this.acknowledged, this.inFlight.get(clock) ?? 0)
        this.inFlight.delete(clock)
        this.clocks.set(this.author.pubKey, clock)
        return this.flush()
      }
      case "snapshot-saved": {
        const { snapshotInFlight } = this
        if (message["snapshotId"] !== snapshotInFlight?.snapshot.publicData.snapshotId) return
        this.snapshotInFlight = undefined
        this.follow(snapshotInFlight!.snapshot)
        this.acknowledged = Math.max(this.acknowledged, snapshotInFlight!.newest)
        return this.flush()
      }
      case "update-save-failed":
        // Updates of a snapshot that another one has replaced.
        if (message["snapshotId"] !== undefined && message["snapshotId"] !== this.active?.publicData.snapshotId) return
        return this.cut()
      case "snapshot-save-failed":
        return this.cut()
    }
  }

  private load(snapshot: SealedSnapshot | undefined, updates: ReadonlyArray<SealedUpdate> = []): void {
    const stored = [...(snapshot === undefined ? [] : [snapshot]), ...updates].map(
      (message) => decode(message)[this.author.pubKey] ?? 0
    )
    const found = Math.max(0, ...stored)
    if (this.isBehind(found)) return
    this.acknowledged = found
    this.active = undefined
    this.clocks = new Map()
    if (snapshot !== undefined) {
      this.follow(snapshot)
      this.send(ephemeralMessage(this.author, { docId: this.documentId }))
    }
    for (const update of updates) this.takeUpdate(update)
    this.isLoaded = true
    this.flush()
  }

  /**
   * A process that was cut off from the others or from the database may serve an older document for a while. The client writes
   * nothing until it has what was acknowledged, because its next number would hide that one was lost.
   */
  private isBehind(found: number): boolean {
    if (found >= this.acknowledged) {
      if (this.behindSince !== undefined) this.soak.wasBehind(Date.now() - this.behindSince)
      this.behindSince = undefined
      return false
    }
    this.behindSince ??= Date.now()
    if (Date.now() - this.behindSince < MAX_BEHIND_MILLIS) {
      this.cut()
      return true
    }
    this.soak.report(`${this.name} was acknowledged ${this.acknowledged}, and the document holds ${found}`)
    this.behindSince = undefined
    return false
  }

  private follow(snapshot: SealedSnapshot): void {
    this.active = snapshot
    this.clocks = new Map()
    this.inFlight.clear()
    this.take(decode(snapshot))
  }

  private takeUpdate(update: SealedUpdate): void {
    const { clock, pubKey, refSnapshotId } = update.publicData
    if (refSnapshotId !== this.active?.publicData.snapshotId) return
    this.clocks.set(pubKey, clock)
    this.take(decode(update))
  }

  private take(numbers: Numbers): void {
    for (const [author, number] of Object.entries(numbers))
      this.numbers.set(author, Math.max(number, this.numbers.get(author) ?? 0))
  }

  private sendSnapshot(): void {
    const { active: parent, author, clocks, documentId: docId, newest, numbers } = this
    const snapshot = snapshotMessage(author, {
      docId,
      ciphertext: encode(Object.fromEntries(numbers)),
      ...(parent === undefined ? {} : { parent }),
      clocks: Object.fromEntries(clocks)
    })
    this.snapshotInFlight = { snapshot, newest }
    this.send(snapshot)
  }
}
