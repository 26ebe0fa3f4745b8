/** The deeds behind the buttons, and their results as they come. */
import { bytes, counted } from "../../shared/format.ts"
import { makeValue, type Value } from "../../shared/Value.ts"
import type { SealedDocument } from "./sealedDocument.ts"
import type { ServerEvent } from "./serverEvents.ts"

export interface Result {
  readonly title: string
  readonly lines: ReadonlyArray<string>
  readonly state: "working" | "good" | "found" | "failed"
  /** Versions at which a verification found something. */
  readonly damaged?: ReadonlySet<number>
}

export interface Trials {
  readonly result: Value<Result | undefined>
  readonly evict: () => Promise<void>
  readonly restart: () => Promise<void>
  readonly verify: () => Promise<void>
  readonly tamper: () => Promise<void>
}

interface Report {
  readonly events: number
  readonly payloads: number
  readonly problemCount: number
  readonly problems: ReadonlyArray<{ readonly version: number; readonly problem: string; readonly detail: string }>
}

interface Tampered {
  readonly author: { readonly version: number }
  readonly ciphertext: { readonly version: number }
  readonly report: Report
}

/** Problems of a report that are named. */
const NAMED = 4

export const makeTrials = (
  documentId: string,
  { status }: SealedDocument,
  events: Value<ReadonlyArray<ServerEvent>>
): Trials => {
  const result = makeValue<Result | undefined>(undefined)

  /** Shows the deed as working, and a failure as its result. */
  const attempt = async (title: string, deed: () => Promise<void>) => {
    result.set({ title, lines: [], state: "working" })
    try {
      await deed()
    } catch (error) {
      const reason = error instanceof TypeError ? "The server does not answer." : String(error)
      result.set({ title, lines: [reason], state: "failed" })
    }
  }
  const ask = async <A>(path: string): Promise<A> => {
    const response = await fetch(`/demo/${path}?document=${encodeURIComponent(documentId)}`, { method: "POST" })
    const text = await response.text()
    if (!response.ok) throw text
    return JSON.parse(text || "null")
  }
  const whereOffline = (): ReadonlyArray<string> =>
    status.get().connection === "offline" ? ["This window is offline. Go online to see the end."] : []
  const linesOf = ({ problemCount, problems }: Report): ReadonlyArray<string> => [
    ...problems.slice(0, NAMED).map(({ detail, problem, version }) => `Version ${version}, ${problem}: ${detail}.`),
    ...(problemCount > NAMED ? [`${problemCount - NAMED} more, which follow from these.`] : [])
  ]

  return {
    result,
    evict: () =>
      attempt("Evict", async () => {
        const from = events.get().at(-1)?.version ?? 0
        const [evicted] = await ask<ReadonlyArray<{ readonly events: number; readonly payloadBytes: number }>>("evict")
        if (evicted === undefined) {
          return result.set({
            title: "Evict",
            lines: ["The server holds nothing of this notebook to delete."],
            state: "good"
          })
        }
        const gone = `The server deleted ${bytes(evicted.payloadBytes)} of sealed messages. The ${counted(evicted.events, "event")} and their chain stay.`
        result.set({
          title: "Evicted",
          lines: [gone, "Now it asks a window that has the text for a snapshot.", ...whereOffline()],
          state: "working"
        })
        const restored = await first(events, (all) =>
          all.find(({ type, version }) => type === "SnapshotStored" && version > from)
        )
        const back = `A window brought the notebook back as version ${restored.version}, sealed again. The server checked that it follows from the evicted one.`
        result.set({ title: "Evicted, and back", lines: [gone, back], state: "good" })
      }),
    restart: () =>
      attempt("Restart", async () => {
        await ask("restart")
        const before = events.get().at(-1)
        const down = "The server closed its sockets, rooms and storage. Go on writing; it starts again in four seconds."
        result.set({ title: "The server is down", lines: [down, ...whereOffline()], state: "working" })
        await first(status, ({ connection }) => connection !== "online" || undefined)
        await first(status, ({ connection, waiting }) => (connection === "online" && waiting === 0) || undefined)
        const kept = `It built its state from the log alone${before === undefined ? "" : `: all ${before.version} versions of before are there`}, and took what was written since.`
        result.set({ title: "The server is back", lines: [kept], state: "good" })
      }),
    verify: () =>
      attempt("Verify", async () => {
        const report = await ask<Report>("verify")
        if (report.events === 0) {
          const nothing = "The log holds no event of this notebook. Write something first."
          return result.set({ title: "Nothing to verify", lines: [nothing], state: "good" })
        }
        const checked = `${counted(report.events, "event")} and ${counted(report.payloads, "sealed message")}: every hash, chain value, clock and signature was checked again.`
        result.set({
          title: report.problemCount === 0 ? "The log is as it was written" : "The log is damaged",
          lines: [checked, ...linesOf(report)],
          state: report.problemCount === 0 ? "good" : "found",
          damaged: new Set(report.problems.map(({ version }) => version))
        })
      }),
    tamper: () =>
      attempt("Tamper", async () => {
        const found = await ask<Tampered | null>("tamper")
        if (found === null) {
          const nothing = "The log holds no sealed message of this notebook to change."
          return result.set({ title: "Nothing to tamper with", lines: [nothing], state: "good" })
        }
        const { author, ciphertext, report } = found
        const done = `In a copy of the log, the author of version ${author.version} and one bit of the ciphertext of version ${ciphertext.version} were changed. The copy is deleted; the log is untouched.`
        result.set({
          title: `Verification found ${counted(report.problemCount, "problem")} in the copy`,
          lines: [done, ...linesOf(report)],
          state: "found",
          damaged: new Set(report.problems.map(({ version }) => version))
        })
      })
  }
}

/** Waits until a value gives an answer, and returns it. */
const first = <A, B>({ get, listen }: Value<A>, answerOf: (value: A) => B | undefined): Promise<B> =>
  new Promise((resolve) => {
    const look = () => {
      const answer = answerOf(get())
      if (answer === undefined) return
      stop()
      resolve(answer)
    }
    const stop = listen(look)
    look()
  })
