/**
 * Names and values in tags that a template may have written parts of: what stands before a name (`{{#if x}}href`, `{{more}}href`) is no part of
 * it, and a tag's name ends with the first expression.
 */
import { type Flat, marksIn, type Piece, trimmed, typed } from "../flat.ts";
import { attributeValue, type Tag } from "../html.ts";

/** In small letters, without tags of blocks; up to the first expression. */
export function tagName(flat: Flat, piece: Piece): string {
  let name = "";
  let from = piece.start;
  for (const mark of marksIn(flat, piece)) {
    name += flat.text.slice(from, mark.at);
    if (mark.tag === "value") return name.toLowerCase();
    from = mark.at + 1;
  }
  return (name + flat.text.slice(from, piece.end)).toLowerCase();
}

/** In small letters, without tags of blocks and expressions before it; '' where an expression is part of it. */
export function attributeName(flat: Flat, piece: Piece): string {
  let name = "";
  let from = piece.start;
  for (const mark of marksIn(flat, piece)) {
    name += flat.text.slice(from, mark.at);
    if (mark.tag === "value" && name !== "") return "";
    from = mark.at + 1;
  }
  return (name + flat.text.slice(from, piece.end)).toLowerCase();
}

/** Value of a tag's first attribute of a name, as its author might have typed it; '' when there is none. */
export function valueOf(flat: Flat, tag: Tag, name: string): string {
  const attribute = tag.attributes.find((each) => attributeName(flat, each.name) === name);
  return attribute === undefined ? "" : typed(flat, trimmed(flat, attribute.value), attributeValue);
}
