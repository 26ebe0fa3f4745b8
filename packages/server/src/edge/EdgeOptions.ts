/** The settings of a server's edge and of what is behind it, for a server of its own and for the server of an app. */
import type { QuotaChange } from "../domain/Quota.ts"
import type { AccessOptions } from "../ports/Access.ts"
import type { CanaryOptions } from "../protocols/secsync/Canary.ts"
import type { SecsyncOptions } from "../protocols/secsync/Sessions.ts"
import type { FileOptions } from "../protocols/verdant/files/FileOptions.ts"
import type { VerdantOptions } from "../protocols/verdant/Sessions.ts"
import type { TraceOptions } from "../rooms/FrameTraces.ts"
import type { QuotaPolicy } from "../rooms/Quotas.ts"
import type { ScrubOptions } from "../rooms/Scrub.ts"
import type { WebhookOptions } from "../webhooks/WebhookOptions.ts"
import type { MetricsOptions } from "./http/MetricsRoute.ts"
import type { SocketLimits } from "./Limits.ts"
import type { OriginList } from "./Origins.ts"

export interface EdgeOptions {
  /** Defaults: see `SocketLimits`. */
  readonly limits?: Partial<SocketLimits>
  /**
   * Proxies in front of the server, as addresses or ranges such as `10.0.0.0/8`. For the limits of one address, a client
   * behind them has the address that they append to X-Forwarded-For. Default: none, and the header is ignored.
   */
  readonly trustedProxies?: ReadonlyArray<string>
  /**
   * The web apps that may use the server, by their origins, such as `https://app.example.org`. The server also answers only to
   * the host names in this list, so it holds the server's own origin, too. Default: all. A request or an upgrade from a page
   * of another origin is answered with 403, and one for another host with 421. `this-machine` stands for pages and hosts of
   * this machine, and `same-origin` for the pages of the host that a request names. A client that is no browser sends no origin, and may name any host of the list.
   */
  readonly origins?: OriginList
  /** For the app's policy (`Access.allows`). */
  readonly access?: AccessOptions
  readonly secsync?: SecsyncOptions
  readonly verdant?: VerdantOptions
  /** The quota of libraries for which neither an operator nor `quotaOf` sets another. Defaults: see `Quota`. */
  readonly quota?: QuotaChange
  /**
   * Returns the parts of a library's quota that the app sets, for example by its plan; an operator's `library quota` goes
   * before them. Called about once a second for a library in use, in the middle of a decision, so it must be quick; also for
   * each library that an operator lists. Fractions are rounded down, and Infinity is no limit. If it throws, the command is refused as after a defect (1011). Default: the app sets none.
   */
  readonly quotaOf?: QuotaPolicy
  /** Where the metrics are served (docs/metrics.md). Default: nowhere. In the server of an app they need a port of their own. */
  readonly metrics?: MetricsOptions
  /** Which frames become spans of Effect's tracer (docs/operations.md). Default: none. */
  readonly traces?: TraceOptions
  /** The server's own document, by which the metrics know the lag from one end to the other. Default: see `CanaryOptions`. */
  readonly canary?: CanaryOptions
  /** How fast and how often the server compares the whole log with its hashes. Defaults: see `ScrubOptions`. */
  readonly scrub?: Partial<ScrubOptions>
  /** For the webhooks that `sync-admin webhook add` makes. Defaults: see `WebhookOptions`. */
  readonly webhooks?: Partial<WebhookOptions>
  /** For the files of Verdant's clients, which are served if a `BlobStore` and `FileLinks` are provided. */
  readonly files?: Partial<FileOptions>
}
