/** Shows how many open documents are near their quotas. Each scrape looks at all of them. */
import { Effect, HashMap, type Scope } from "effect"
import { type LogUse, NEAR_QUOTA, type Quota } from "../../domain/Quota.ts"
import type { DocumentState } from "../../domain/secsync/index.ts"
import * as Metrics from "../../metrics/Metrics.ts"

/** A document that is open. */
interface OpenDocument {
  readonly state: () => DocumentState
  readonly local: { readonly logUse: { readonly known: () => LogUse }; readonly quota: () => Quota }
}

type Part = (typeof Metrics.DOCUMENT_QUOTA_PARTS)[number]

const useOf = ({ local, state }: OpenDocument): Pick<Quota, Part> => {
  const { bytes, clocks } = state()
  return { documentBytes: bytes, documentAuthors: HashMap.size(clocks), ...local.logUse.known() }
}

/** Shows the documents until the scope closes. */
export const showDocuments = (all: () => Iterable<OpenDocument>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.forEach(
    Metrics.DOCUMENT_QUOTA_PARTS,
    (part) =>
      Metrics.documentsNearQuota.at({ part }).read(() => {
        let near = 0
        for (const document of all()) {
          const use = useOf(document)[part]
          if (use > 0 && use >= document.local.quota()[part] * NEAR_QUOTA) near += 1
        }
        return near
      }),
    { discard: true }
  )
