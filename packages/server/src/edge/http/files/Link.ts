/** Where a file's bytes are for whoever has the link. */
import { Duration, Effect } from "effect"
import type { FileId, LibraryId } from "../../../domain/Ids.ts"
import type { FileLinks } from "../../../protocols/verdant/files/FileLinks.ts"
import { VERDANT_PATH } from "../../admitVerdant.ts"

export const linkTo = (
  links: FileLinks["Service"],
  libraryId: LibraryId,
  fileId: FileId,
  { linkLifetime, origin }: { readonly linkLifetime: Duration.Input; readonly origin: string }
): Effect.Effect<string> =>
  Effect.map(
    links.sign(libraryId, fileId, Duration.fromInputUnsafe(linkLifetime)),
    (query) => `${origin}${VERDANT_PATH}/files/${fileId}/content?${query}`
  )
