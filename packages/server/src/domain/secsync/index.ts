/** Everything of a Secsync document's rules, as one namespace: `import * as Secsync`. */
export * from "./Commands.ts"
export * from "./Decide.ts"
export * from "./Events.ts"
export * from "./Proofs.ts"
export * from "./State.ts"
