import { requirePrograms } from "./Binary.ts"

export default () => requirePrograms()
