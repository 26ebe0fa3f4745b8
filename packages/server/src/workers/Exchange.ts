/** Questions and answers between two processes. */
import type { AnswerTo, Exchanged, Question } from "./Messages.ts"

/** How long an answer may take, ms: longer than the storage has for the look at the health. */
const PATIENCE = 3000

export class Exchange {
  private readonly post: (message: Exchanged) => void
  private readonly answer: (question: Question) => Promise<unknown>
  private readonly waiting = new Map<number, (answer: unknown) => void>()
  private last = 0

  /** `answer`: a rejection is no answer. */
  constructor(post: (message: Exchanged) => void, answer: (question: Question) => Promise<unknown>) {
    this.post = post
    this.answer = answer
  }

  /** Returns undefined if there is no answer in time. */
  ask<Q extends Question>(question: Q, patience = PATIENCE): Promise<AnswerTo<Q> | undefined> {
    this.last += 1
    const id = this.last
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(undefined), patience)
      const settle = (answer: unknown) => {
        clearTimeout(timer)
        this.waiting.delete(id)
        // The cast: the other process is of the same version.
        resolve(answer as AnswerTo<Q> | undefined)
      }
      this.waiting.set(id, settle)
      this.post({ _tag: "Ask", id, question })
    })
  }

  receive(message: Exchanged): void {
    if (message._tag === "Answer") return this.waiting.get(message.id)?.(message.answer)
    const { id, question } = message
    void this.answer(question)
      .catch(() => undefined)
      .then((answer) => this.post({ _tag: "Answer", id, answer }))
  }

  /** The other process is gone: it answers nothing any more. */
  end(): void {
    for (const settle of [...this.waiting.values()]) settle(undefined)
  }
}
