/**
 * The HTTP API of operators: its definition, for typed clients, and the routes that serve it.
 *
 * @module @sealog/server/admin/api
 */
export {
  ADMIN_API_PATH,
  type AdminAnswers,
  AdminApi,
  Authorization,
  LibraryDamaged,
  NotAdministrator,
  NotInLog,
  Unavailable,
  WebhooksFull
} from "./AdminApi.ts"
export { type AdminRoutesOptions, adminRoutes } from "./adminRoutes.ts"
