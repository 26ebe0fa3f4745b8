/** The services behind the handlers of a server, over the ports. */
import { Layer } from "effect"
import { layerHttpServices } from "../internal/httpServices.ts"
import { layerRisingClock } from "../internal/RisingClock.ts"
import { GrownStreams } from "../protocols/changes/GrownStreams.ts"
import { layerCanary } from "../protocols/secsync/Canary.ts"
import { DocumentRooms } from "../protocols/secsync/Rooms.ts"
import { SecsyncDocuments } from "../protocols/secsync/SecsyncDocuments.ts"
import { SecsyncSessions } from "../protocols/secsync/Sessions.ts"
import { VerdantFiles } from "../protocols/verdant/files/FileCatalog.ts"
import { LibraryRooms } from "../protocols/verdant/Rooms.ts"
import { VerdantSessions } from "../protocols/verdant/Sessions.ts"
import { VerdantLibraries } from "../protocols/verdant/VerdantLibraries.ts"
import { AccessControl } from "../rooms/AccessControl.ts"
import { AdmissionControl } from "../rooms/AdmissionControl.ts"
import { Committer } from "../rooms/Committer.ts"
import { Damage } from "../rooms/Damage.ts"
import { layerFrameTraces } from "../rooms/FrameTraces.ts"
import { LogEpoch } from "../rooms/LogEpoch.ts"
import * as MeasuredEventLog from "../rooms/MeasuredEventLog.ts"
import { Openings } from "../rooms/Openings.ts"
import { Quotas } from "../rooms/Quotas.ts"
import { layerScrub } from "../rooms/Scrub.ts"
import { SigningKeys } from "../rooms/SigningKeys.ts"
import * as VerifiedEventLog from "../rooms/VerifiedEventLog.ts"
import { layerWebhooks } from "../webhooks/Webhooks.ts"
import type { EdgeOptions } from "./EdgeOptions.ts"

/** Provides the services that handlers need. The services for the app are kept beside the layer's own. */
export const provideServices =
  (options: EdgeOptions) =>
  <A, E, R>(layer: Layer.Layer<A, E, R>) =>
    Layer.mergeAll(layer, layerWebhooks(options.webhooks), layerScrub(options.scrub), layerCanary(options.canary)).pipe(
      Layer.provide(GrownStreams.layer),
      Layer.provide([SecsyncSessions.layer(options.secsync), VerdantSessions.layer(options.verdant)]),
      Layer.provideMerge(SecsyncDocuments.layer),
      Layer.provideMerge(VerdantLibraries.layer(options.files)),
      Layer.provide(VerdantFiles.layer),
      Layer.provideMerge(
        Layer.mergeAll(DocumentRooms.layer(options.secsync?.createDocuments), LibraryRooms.layer(options.verdant))
      ),
      Layer.provideMerge(AccessControl.layerChanges),
      Layer.provide([
        AdmissionControl.layer,
        AccessControl.layer(options.access),
        SigningKeys.layer(options.secsync?.keysPerUser),
        Quotas.layer(options.quota, options.quotaOf),
        Committer.layer,
        LogEpoch.layer,
        Openings.layer(options.limits),
        layerHttpServices
      ]),
      Layer.provide(MeasuredEventLog.layer),
      Layer.provide(VerifiedEventLog.layer),
      Layer.provide(Damage.layer),
      Layer.provide(layerFrameTraces(options.traces)),
      Layer.provide(layerRisingClock)
    )
