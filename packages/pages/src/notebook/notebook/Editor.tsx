/** The text in CodeMirror, with the cursors of the others. */
import { defaultKeymap } from "@codemirror/commands"
import { EditorState } from "@codemirror/state"
import { EditorView, keymap, placeholder } from "@codemirror/view"
import { useEffect, useRef } from "preact/hooks"
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next"
import type { SealedDocument } from "./sealedDocument.ts"

export const Editor = ({ text, awareness }: Pick<SealedDocument, "text" | "awareness">) => {
  const parent = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const view = new EditorView({
      parent: parent.current!,
      state: EditorState.create({
        doc: text.toString(),
        extensions: [
          keymap.of([...yUndoManagerKeymap, ...defaultKeymap]),
          EditorView.lineWrapping,
          EditorView.contentAttributes.of({ "aria-label": "Shared notebook", spellcheck: "true" }),
          placeholder("Write something. Then open a second window, and write there too."),
          yCollab(text, awareness)
        ]
      })
    })
    view.focus()
    return () => view.destroy()
  }, [text, awareness])
  return <div class="editor" ref={parent} />
}
