/** Effect's services behind HTTP handlers. `NodeHttpServer.layerHttpServices` has a terminal besides, which listens to stdin. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodeHttpPlatform from "@effect/platform-node/NodeHttpPlatform"
import * as NodePath from "@effect/platform-node/NodePath"
import { Layer } from "effect"
import { Etag } from "effect/http"

export const layerHttpServices = Layer.mergeAll(
  NodeHttpPlatform.layer,
  Etag.layerWeak,
  NodeFileSystem.layer,
  NodePath.layer
)
