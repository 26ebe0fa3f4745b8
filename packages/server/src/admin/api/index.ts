/**
 * The HTTP API of operators: its definition, for typed clients, and the routes that serve it.
 *
 * @module @sealog/server/admin/api
 */
export type { AdminAnswers } from "./AdminAnswers.ts"
export { ADMIN_API_PATH, AdminApi, Authorization } from "./AdminApi.ts"
export { LibraryDamaged, NotAdministrator, NotInLog, Unavailable, WebhooksFull } from "./AdminErrors.ts"
export { type AdminRoutesOptions, adminRoutes } from "./adminRoutes.ts"
