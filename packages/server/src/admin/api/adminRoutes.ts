/**
 * The server's side of `AdminApi`, as routes for `SyncServer`, from the handlers of each group. A handler calls the same function as the command of the same
 * name, so that an operator may do neither more nor less than with `sync-admin` on the database.
 */
import { Layer } from "effect"
import { HttpApiBuilder } from "effect/http-api"
import { layerHttpServices } from "../../internal/httpServices.ts"
import type { AdminAccess } from "../../ports/AdminAccess.ts"
import { ADMIN_API_PATH, AdminApi } from "./AdminApi.ts"
import { documentHandlers } from "./documentHandlers.ts"
import { libraryHandlers } from "./libraryHandlers.ts"
import { operatorAuthorization } from "./operatorAuthorization.ts"
import { type ServerHandlersOptions, serverHandlers } from "./serverHandlers.ts"
import { webhookHandlers } from "./webhookHandlers.ts"

export type AdminRoutesOptions = ServerHandlersOptions

/** Routes for `SyncServerOptions.routes`. They need an `AdminAccess`, for example `JwtAccess.layerAdminConfig`. */
export const adminRoutes = <E, R>(access: Layer.Layer<AdminAccess, E, R>, options: AdminRoutesOptions = {}) =>
  HttpApiBuilder.layer(AdminApi, { openapiPath: `${ADMIN_API_PATH}/openapi.json` }).pipe(
    Layer.provide([libraryHandlers, documentHandlers, webhookHandlers, serverHandlers(options)]),
    Layer.provide(operatorAuthorization),
    Layer.provide([access, layerHttpServices])
  )
