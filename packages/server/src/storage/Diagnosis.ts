/** One result of `doctor`. */
export interface Finding {
  /** A stable name of the check. */
  readonly check: string
  /** "warn": the server works, and could be set up better. */
  readonly state: "ok" | "warn" | "fail"
  readonly detail: string
  /** A command or setting that the operator can try next. */
  readonly tryThis?: string
}
