/** CodeMirror with R: one view, one state per open file. */

import { autocompletion, closeBrackets, closeBracketsKeymap, completeAnyWord, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension, Prec } from "@codemirror/state";
import {
  drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers, placeholder,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";
import { label } from "@/lib/keys";
import { language } from "@/console/languages";

const COLOURS = HighlightStyle.define([
  { tag: [tags.keyword, tags.controlKeyword, tags.operatorKeyword], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string), tags.regexp], color: "var(--code-string)" },
  { tag: [tags.number, tags.bool, tags.atom, tags.null], color: "var(--code-number)" },
  { tag: [tags.comment, tags.meta], color: "var(--code-comment)" },
  { tag: [tags.standard(tags.variableName), tags.function(tags.variableName)], color: "var(--code-builtin)" },
]);

const THEME = EditorView.theme({
  ".cm-gutters": { backgroundColor: "var(--page)", color: "var(--muted)", border: "none", paddingRight: "6px" },
  ".cm-lineNumbers .cm-gutterElement": { minWidth: "4ch", paddingLeft: "8px" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--hover) 55%, transparent)" },
  ".cm-activeLineGutter": { backgroundColor: "transparent", color: "var(--text)" },
  ".cm-cursor": { borderLeftColor: "var(--text)" },
  ".cm-content": { caretColor: "var(--text)", padding: "8px 0" },
  "&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "light-dark(#cfe1f8, #2b4a75)" },
  ".cm-matchingBracket, &.cm-focused .cm-matchingBracket": { backgroundColor: "var(--selected)", outline: "1px solid var(--accent)" },
  ".cm-selectionMatch, .cm-searchMatch": { backgroundColor: "var(--mark)" },
  ".cm-searchMatch-selected": { outline: "1px solid var(--accent)" },
  ".cm-placeholder": { color: "var(--muted)" },
  ".cm-panels": { backgroundColor: "var(--sunken)", color: "var(--text)", borderColor: "var(--line)" },
  ".cm-panels-bottom": { borderTop: "1px solid var(--line)" },
  ".cm-panel.cm-search": { padding: "6px 10px", fontFamily: "var(--sans)" },
  ".cm-textfield": { backgroundColor: "var(--page)", color: "var(--text)", border: "1px solid var(--line-strong)", borderRadius: "4px", padding: "2px 6px" },
  ".cm-button": { backgroundImage: "none", backgroundColor: "var(--raised)", color: "var(--text)", border: "1px solid var(--line)", borderRadius: "4px" },
  ".cm-tooltip": { backgroundColor: "var(--raised)", border: "1px solid var(--line)", borderRadius: "var(--radius)", boxShadow: "var(--shadow)", color: "var(--text)" },
  ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--selected)", color: "var(--text)" },
});

/** Looks of code, for the editor and for code that is only shown. */
function appearance(path: string): Extension {
  return [lineNumbers(), syntaxHighlighting(COLOURS), THEME, language(path)];
}

export interface EditorEvents {
  changed: () => void;
  save: () => void;
  run: () => void;
}

export class Editor {
  readonly view: EditorView;

  constructor(host: HTMLElement, private readonly events: EditorEvents) {
    this.view = new EditorView({ parent: host });
  }

  /** A new state for a file; undo goes back to this text. */
  stateFor(path: string, text: string): EditorState {
    return EditorState.create({
      doc: text,
      extensions: [
        appearance(path),
        highlightActiveLine(),
        highlightActiveLineGutter(),
        history(),
        drawSelection(),
        indentOnInput(),
        indentUnit.of("  "),
        bracketMatching(),
        closeBrackets(),
        autocompletion({ override: [completeAnyWord] }),
        search({ top: false }),
        highlightSelectionMatches(),
        placeholder(`Write R here. ${label("Mod-Enter")} saves and runs it.`),
        EditorView.contentAttributes.of({ "aria-label": `Text of ${path}`, tabindex: "0" }),
        // Escape, then Tab leaves the editor: see the list of shortcuts.
        Prec.highest(keymap.of([
          { key: "Mod-s", preventDefault: true, run: () => { this.events.save(); return true; } },
          { key: "Mod-Enter", preventDefault: true, run: () => { this.events.run(); return true; } },
        ])),
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, indentWithTab]),
        EditorView.updateListener.of((update) => { if (update.docChanged) this.events.changed(); }),
      ],
    });
  }

  get text(): string {
    return this.view.state.doc.toString();
  }

  show(state: EditorState): void {
    this.view.setState(state);
  }

  goTo(line: number): void {
    const doc = this.view.state.doc;
    const { from } = doc.line(Math.min(Math.max(1, line), doc.lines));
    this.view.dispatch({ selection: { anchor: from }, scrollIntoView: true });
    this.view.focus();
  }
}

/** Show `text` highlighted, not to be changed, in place of what `host` holds. */
export function showCode(host: HTMLElement, path: string, text: string): void {
  host.replaceChildren();
  new EditorView({
    parent: host,
    state: EditorState.create({
      doc: text,
      extensions: [
        appearance(path),
        EditorState.readOnly.of(true),
        EditorView.editable.of(false),
        EditorView.contentAttributes.of({ "aria-label": path ? `Text of ${path}` : "Text", tabindex: "0" }),
      ],
    }),
  });
  // Its place in the order of Tab is the text's now.
  host.removeAttribute("tabindex");
}
