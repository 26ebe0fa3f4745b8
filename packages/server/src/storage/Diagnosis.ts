/** What `doctor` finds when it looks at one thing. */
export interface Finding {
  /** A stable name of what was looked at. */
  readonly check: string
  /** "warn": it works, and could be better. */
  readonly state: "ok" | "warn" | "fail"
  readonly detail: string
  readonly tryThis?: string
}
