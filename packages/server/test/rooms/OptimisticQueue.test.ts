/**
 * The queue in a simulated room: the property chooses when commands come, when the log answers, when another process
 * writes, and when the storage fails. Each answer must be the one that a sequential model gives for the log as it is.
 */
import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import fc from "fast-check"
import { LibraryId } from "../../src/domain/Ids.ts"
import { advance, emptyHead, type NewEvent, place, type StreamEvent, type StreamKey } from "../../src/domain/Stream.ts"
import type { Append } from "../../src/ports/EventLog.ts"
import { appendOf, type Decided, OptimisticQueue, outcomeOf, type Pending } from "../../src/rooms/OptimisticQueue.ts"
import type { Decision, Outcome } from "../../src/rooms/RoomProtocol.ts"

// ------------------------------------------------------------------------------------------------ the model

/** Stores `id`, unless it is stored already; refused while `after` is not stored. */
interface Command {
  readonly id: number
  readonly after: number | undefined
  /** Submitted from within the answer. */
  readonly followUp?: Command | undefined
}
type Refusal = "AlreadyStored" | "Missing"
type State = ReadonlySet<number>

const key: StreamKey = { libraryId: LibraryId.make("library"), streamId: "ids" }
const eventOf = (id: number): NewEvent => ({ type: "Stored", data: { id }, payloadHash: "", checkpoint: false })

const decide = (state: State, { after, id }: Command): Result.Result<Decision, Refusal> => {
  if (state.has(id)) return Result.fail("AlreadyStored")
  if (after !== undefined && !state.has(after)) return Result.fail("Missing")
  return Result.succeed({ event: eventOf(id), payload: null })
}
const evolve = (state: State, { data }: StreamEvent): State => new Set(state).add((data as { id: number }).id)
const isSettled = (refusal: Refusal) => refusal === "AlreadyStored"

const stateOf = (events: ReadonlyArray<StreamEvent>): State => events.reduce(evolve, new Set<number>())
const headOf = (events: ReadonlyArray<StreamEvent>) => events.reduce(advance, emptyHead)

// ------------------------------------------------------------------------------------------- the simulated room

/** Small, so that one read rarely returns everything. */
const PAGE = 3

type Step =
  | { readonly _tag: "Submit"; readonly origin: string; readonly command: Command }
  /** Another process appends an event, if its rules allow it; its signal may be lost. */
  | { readonly _tag: "ForeignWrite"; readonly id: number; readonly isSignalled: boolean }
  /** The committer begins a transaction. */
  | { readonly _tag: "Take" }
  /** The append under way reaches the log, or fails before or after it. */
  | { readonly _tag: "Append"; readonly fails: "never" | "before" | "after" }
  /** The read under way takes its page from the log. */
  | { readonly _tag: "Read" }
  /** The page reaches the room. */
  | { readonly _tag: "Return"; readonly fails: boolean }

interface Submission {
  readonly number: number
  readonly origin: string
  readonly command: Command
  /** The length of the log at that time. */
  readonly length: number
}

class Simulation {
  readonly log: Array<StreamEvent> = []
  readonly queue = new OptimisticQueue<State, Command, Refusal>(
    key,
    { evolve, isSettled, frame: () => undefined },
    { head: emptyHead, state: new Set() }
  )
  readonly delivered: Array<number> = []
  readonly submissions: Array<Submission> = []
  readonly answers = new Map<Submission, Outcome<Refusal>>()
  /** The length of the log at the last signal. */
  signalled = 0
  private readonly lastAnswered = new Map<string, number>()
  private readonly tally: Map<string, number>
  private isQueued = false
  private append: Append | undefined
  private isTurn = false
  private isReading = false
  private page: ReadonlyArray<StreamEvent> | undefined
  private isFailing = false

  constructor(tally: Map<string, number>) {
    this.tally = tally
  }

  take(step: Step): void {
    switch (step._tag) {
      case "Submit":
        return this.submit(step.origin, step.command)
      case "ForeignWrite":
        return this.writeForeign(step.id, step.isSignalled)
      case "Take":
        return this.beginCommit()
      case "Append":
        return this.endAppend(step.fails)
      case "Read":
        if (this.isReading && this.append === undefined)
          this.page ??= this.log.slice(this.version(), this.version() + PAGE)
        return
      case "Return":
        return this.endRead(step.fails)
    }
  }

  /** Lets everything under way come to its end, without any failure. */
  drain(): void {
    this.pump()
    for (let i = 0; !this.queue.isEmpty() || this.queue.next() !== "wait" || this.isReading; i++) {
      assert.isBelow(i, 10_000, "the queue comes to rest")
      for (const _tag of ["Read", "Take"] as const) this.take({ _tag })
      this.take({ _tag: "Return", fails: false })
      this.take({ _tag: "Append", fails: "never" })
    }
  }

  assertFollowsLog(): void {
    const { head, state } = this.queue.committed
    const known = this.log.slice(0, head.version)
    assert.deepStrictEqual(head, headOf(known), "the committed head is one of the log's")
    assert.deepStrictEqual(state, stateOf(known), "the committed state is the fold of the log")
    assert.deepStrictEqual(
      this.delivered,
      known.map(({ version }) => version),
      "every event is delivered once, in order"
    )
  }

  private version(): number {
    return this.queue.committed.head.version
  }

  private count(name: string): void {
    this.tally.set(name, (this.tally.get(name) ?? 0) + 1)
  }

  private pump(): void {
    while (true) {
      const next = this.queue.next()
      this.count(next)
      switch (next) {
        case "decide":
          this.decideNext()
          break
        case "commit":
          this.isQueued = true
          return
        case "read":
        case "takeTurn":
          assert.isUndefined(this.append, "nothing is read while the room's own events are on their way")
          this.isReading = true
          this.isTurn = next === "takeTurn"
          return this.queue.beginRead()
        case "wait":
          return
      }
    }
  }

  private decideNext(): boolean {
    const pending = this.queue.first()
    if (pending === undefined) return false
    const result = decide(this.queue.tip.state, pending.command)
    if (Result.isSuccess(result)) {
      this.queue.accept(result.success, 0)
      return true
    }
    const verdict = this.queue.refuse(result.failure)
    if (verdict === "stands") pending.respond({ _tag: "Refused", refusal: result.failure })
    return verdict !== "held back"
  }

  private submit(origin: string, command: Command): void {
    const submission = { number: this.submissions.length, origin, command, length: this.log.length }
    this.submissions.push(submission)
    this.queue.add(command, origin, (outcome) => this.assertAnswer(submission, outcome))
    this.pump()
  }

  private assertAnswer(submission: Submission, outcome: Outcome<Refusal>): void {
    const { command, length, number, origin } = submission
    assert.isFalse(this.answers.has(submission), "a command is answered once")
    this.answers.set(submission, outcome)
    assert.isAbove(number, this.lastAnswered.get(origin) ?? -1, "an origin's commands are answered in their order")
    this.lastAnswered.set(origin, number)
    const committed = this.queue.committed
    switch (outcome._tag) {
      case "Stored": {
        this.count("Stored")
        const { version } = outcome.event
        assert.strictEqual(this.log[version - 1], outcome.event)
        assert.strictEqual(outcome.event.origin, origin)
        assert.strictEqual(committed.head.version, version, "the state is the one with the event")
        const decision = Result.getOrThrow(decide(stateOf(this.log.slice(0, version - 1)), command))
        assert.deepStrictEqual(decision.event.data, outcome.event.data)
        break
      }
      case "Refused":
        this.count(outcome.refusal)
        assert.deepStrictEqual(decide(committed.state, command), Result.fail(outcome.refusal), "the reason is durable")
        if (!isSettled(outcome.refusal)) {
          assert.isAtLeast(committed.head.version, length, "the log was read after the command came")
        }
        break
      case "Unavailable":
        this.count("Unavailable")
        assert.isTrue(this.isFailing)
    }
    if (command.followUp !== undefined) this.submit(origin, command.followUp)
  }

  private writeForeign(id: number, isSignalled: boolean): void {
    // A turn holds the stream still from its first page to its append.
    const isHeld = this.isTurn && (this.page !== undefined || this.append !== undefined)
    if (!isHeld && Result.isSuccess(decide(stateOf(this.log), { id, after: undefined }))) {
      this.log.push(place(key, headOf(this.log), eventOf(id), "another process", 0))
    }
    if (!isSignalled) return
    this.signalled = this.log.length
    this.queue.wake()
    this.pump()
  }

  private beginCommit(): void {
    if (!this.isQueued || this.append !== undefined) return
    this.isQueued = false
    this.append = this.takeAppend()
    if (this.append === undefined) this.pump()
  }

  private takeAppend(): Append | undefined {
    for (let batch = this.queue.takeBatch(); batch.length > 0; batch = this.queue.takeBatch()) {
      const append = appendOf(key, this.queue.committed.head, batch)
      if (append !== undefined) return append
      this.confirm(batch)
    }
    return undefined
  }

  private endAppend(fails: "never" | "before" | "after"): void {
    if (this.append === undefined) return
    const { events, expectedVersion } = this.append
    this.append = undefined
    if (this.isTurn) {
      this.isTurn = false
      this.isReading = false
      this.queue.endTurn()
    }
    const isConflict = expectedVersion !== this.log.length
    if (fails !== "before" && !isConflict) this.log.push(...events.map(({ event }) => event))
    if (fails !== "never") {
      this.fail()
    } else if (isConflict) {
      this.count("conflict")
      assert.deepStrictEqual(this.queue.conflict(), [])
    } else {
      this.confirm(this.queue.committing)
    }
    this.pump()
  }

  private confirm(batch: ReadonlyArray<Decided<State, Command, Refusal>>): void {
    for (const decided of batch) {
      this.queue.confirm(decided)
      decided.pending.respond(outcomeOf(decided))
      if (decided._tag === "Accepted") this.delivered.push(decided.placed.event.version)
    }
    this.queue.endCommit()
  }

  private fail(): void {
    const all = this.queue.fail()
    this.isFailing = true
    for (const { respond } of all) respond({ _tag: "Unavailable" })
    this.isFailing = false
  }

  private endRead(fails: boolean): void {
    if (this.page === undefined) return
    const page = this.page
    this.page = undefined
    if (fails) {
      this.isReading = false
      this.isTurn = false
      return this.fail()
    }
    for (const event of page) {
      this.queue.adopt({ event, payload: null })
      this.delivered.push(event.version)
    }
    if (this.isTurn) return this.continueTurn(page.length < PAGE)
    this.isReading = false
    this.queue.endRead(page.length < PAGE)
    this.pump()
  }

  private continueTurn(isComplete: boolean): void {
    if (!isComplete) {
      this.page = this.log.slice(this.version(), this.version() + PAGE)
      return
    }
    this.queue.confirmAll()
    while (!this.queue.isFull() && this.decideNext());
    this.append = this.takeAppend()
    if (this.append !== undefined) return
    this.isTurn = false
    this.isReading = false
    this.queue.endTurn()
    this.pump()
  }
}

// --------------------------------------------------------------------------------------------------- properties

const id = fc.nat(40)
const bare = fc.record({ id, after: fc.option(fc.nat(8), { nil: undefined }) })
const command: fc.Arbitrary<Command> = fc.record({
  id,
  after: fc.option(fc.nat(8), { nil: undefined }),
  followUp: fc.option(bare, { nil: undefined, freq: 3 })
})
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ _tag: fc.constant("Submit"), origin: fc.constantFrom("a", "b"), command })
  },
  { weight: 4, arbitrary: fc.record({ _tag: fc.constant("ForeignWrite"), id, isSignalled: fc.boolean() }) },
  { weight: 5, arbitrary: fc.record({ _tag: fc.constant("Take") }) },
  {
    weight: 5,
    arbitrary: fc.record({
      _tag: fc.constant("Append"),
      fails: fc.constantFrom("never", "never", "never", "never", "never", "never", "before", "after")
    })
  },
  { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Read") }) },
  {
    weight: 6,
    arbitrary: fc.record({
      _tag: fc.constant("Return"),
      fails: fc.constantFrom(false, false, false, false, false, false, false, false, false, true)
    })
  }
)

describe("OptimisticQueue", () => {
  it("answers as a sequential model does, whatever happens in whatever order", () => {
    const tally = new Map<string, number>()
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), (steps) => {
        const simulation = new Simulation(tally)
        for (const step of steps) {
          simulation.take(step)
          simulation.assertFollowsLog()
        }
        simulation.drain()
        simulation.assertFollowsLog()
        assert.strictEqual(simulation.answers.size, simulation.submissions.length, "every command is answered")
        assert.isAtLeast(simulation.queue.committed.head.version, simulation.signalled, "no signal is lost")
      }),
      { numRuns: 300 }
    )
    // The generator reaches every action and every outcome, or the property proves little.
    const reached = ["decide", "commit", "read", "takeTurn", "wait", "conflict"]
    for (const name of [...reached, "Stored", "AlreadyStored", "Missing", "Unavailable"]) {
      assert.isAbove(tally.get(name) ?? 0, 0, name)
    }
  })

  const make = () =>
    new OptimisticQueue<State, Command, Refusal>(
      key,
      { evolve, isSettled, frame: () => undefined },
      { head: emptyHead, state: new Set() }
    )
  const accept = (queue: ReturnType<typeof make>): Pending<Command, Refusal> => {
    const pending = queue.first()!
    queue.accept(Result.getOrThrow(decide(queue.tip.state, pending.command)), 0)
    return pending
  }

  it("takes a turn from the second conflict on, and gives a command up at the 21st", () => {
    const queue = make()
    queue.add({ id: 0, after: undefined }, "a", () => {})
    const actions: Array<string> = []
    for (let conflicts = 1; conflicts <= 20; conflicts++) {
      accept(queue)
      queue.takeBatch()
      assert.deepStrictEqual(queue.conflict(), [])
      actions.push(queue.next())
      queue.beginRead()
      queue.endRead(true)
    }
    assert.deepStrictEqual(actions, ["read", ...Array.from({ length: 19 }, () => "takeTurn")])
    const pending = accept(queue)
    queue.takeBatch()
    assert.deepStrictEqual(queue.conflict(), [pending])
    assert.isTrue(queue.isEmpty())
  })

  it("puts at most 500 events into one append, in the order of their commands", () => {
    const queue = make()
    for (let id = 0; id < 1200; id++) queue.add({ id, after: undefined }, "a", () => {})
    while (queue.next() === "decide") accept(queue)
    const sizes: Array<number> = []
    while (queue.next() === "commit") {
      const batch = queue.takeBatch()
      sizes.push(batch.length)
      assert.deepStrictEqual(queue.takeBatch(), [], "one commit at a time")
      for (const decided of batch) queue.confirm(decided)
      queue.endCommit()
    }
    assert.deepStrictEqual(sizes, [500, 500, 200])
    assert.deepStrictEqual(
      [...queue.committed.state],
      Array.from({ length: 1200 }, (_, id) => id)
    )
  })

  it("holds a refusal back until the events that it rests on are durable, and the log is read", () => {
    const queue = make()
    queue.add({ id: 0, after: undefined }, "a", () => {})
    queue.add({ id: 1, after: 9 }, "a", () => {})
    accept(queue)
    assert.strictEqual(queue.refuse("Missing"), "held back")
    assert.strictEqual(queue.next(), "commit")
    for (const decided of queue.takeBatch()) queue.confirm(decided)
    queue.endCommit()
    assert.strictEqual(queue.next(), "decide")
    assert.strictEqual(queue.refuse("Missing"), "held back")
    assert.strictEqual(queue.next(), "read")
    queue.beginRead()
    queue.endRead(true)
    assert.strictEqual(queue.next(), "decide")
    assert.strictEqual(queue.refuse("Missing"), "stands")
    assert.isTrue(queue.isEmpty())
  })
})
