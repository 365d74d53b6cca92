import type { Block, Fact, Item, Page, Sum } from "./domain-page.ts";

/** Markup that is ours, or was escaped. */
interface Html {
  readonly html: string;
}

/** A mail as HTML. It fetches nothing, and runs nothing. */
export function htmlOf({ subject, shop, heading, blocks, footer }: Page): string {
  return markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<title>${subject}</title>
<style>${raw(DARK)}</style>
</head>
<body class="back" style="margin:0;padding:0;background:#f2f4f7;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0"><tr><td align="center" style="padding:24px 12px;">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" class="text" style="max-width:600px;${raw(FONT)}color:#1d2939;">
<tr><td style="padding:0 4px 16px;font-size:15px;font-weight:600;letter-spacing:.02em;">${shop}</td></tr>
<tr><td class="card" style="background:#ffffff;border:1px solid #e4e7ec;border-radius:12px;padding:28px 24px;">
<h1 style="margin:0 0 20px;font-size:24px;line-height:1.25;font-weight:700;">${heading}</h1>
${blocks.map(blockHtml)}
</td></tr>
<tr><td class="faint" style="padding:16px 4px 0;font-size:13px;line-height:1.5;color:#667085;">${footer}</td></tr>
</table>
</td></tr></table>
</body>
</html>
`.html;
}

const FONT = "font-family:-apple-system,BlinkMacSystemFont,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;";

/** For readers who like it dark; those that know nothing of it stay as they are. */
const DARK = `@media (prefers-color-scheme:dark){
.back{background:#101418 !important}.card{background:#1a2027 !important;border-color:#2d3640 !important}
.text{color:#e6eaee !important}.faint{color:#9aa5b1 !important}.line{border-color:#2d3640 !important}}`;

function blockHtml(block: Block): Html {
  switch (block.kind) {
    case "paragraph":
      return markup`<p style="margin:0 0 16px;font-size:16px;line-height:1.5;">${block.text}</p>\n`;
    case "facts":
      return markup`<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:4px 0 24px;font-size:15px;line-height:1.5;">
${block.facts.map(factHtml)}</table>\n`;
    case "items":
      return markup`<table width="100%" cellpadding="0" cellspacing="0" border="0" style="margin:0 0 24px;font-size:15px;line-height:1.4;">
${block.items.map(itemHtml)}${block.sums.map(sumHtml)}</table>\n`;
    case "address":
      return markup`<p class="faint" style="margin:0 0 4px;font-size:13px;color:#667085;">${block.label}</p>
<p style="margin:0;font-size:15px;line-height:1.5;overflow-wrap:anywhere;">${joinLines(block.lines)}</p>\n`;
  }
}

function factHtml({ label, value }: Fact): Html {
  return markup`<tr><td class="faint" valign="top" style="padding:2px 16px 2px 0;color:#667085;white-space:nowrap;">${label}</td><td valign="top" style="padding:2px 0;overflow-wrap:anywhere;">${value}</td></tr>\n`;
}

function itemHtml({ title, detail, amount }: Item): Html {
  return markup`<tr><td class="line" valign="top" style="padding:12px 12px 12px 0;border-top:1px solid #e4e7ec;overflow-wrap:anywhere;">${title}<br><span class="faint" style="font-size:13px;color:#667085;">${detail}</span></td><td class="line" valign="top" align="right" style="padding:12px 0;border-top:1px solid #e4e7ec;white-space:nowrap;">${amount}</td></tr>\n`;
}

function sumHtml({ label, amount, isTotal }: Sum, at: number): Html {
  const border = raw(at === 0 || isTotal ? "border-top:1px solid #e4e7ec;" : "");
  const size = raw(
    isTotal ? "padding:12px 0;font-size:17px;font-weight:700;" : `padding:${at === 0 ? 12 : 0}px 0 8px;`,
  );
  return markup`<tr><td class="line" style="${size}${border}">${label}</td><td class="line" align="right" style="${size}${border}white-space:nowrap;">${amount}</td></tr>\n`;
}

function joinLines(lines: readonly string[]): readonly Html[] {
  return lines.map((line, at) => (at === 0 ? markup`${line}` : markup`<br>${line}`));
}

/** Puts values into markup: texts escaped, for elements and quoted attributes alike, and markup as it is. */
function markup(texts: TemplateStringsArray, ...values: readonly (string | Html | readonly Html[])[]): Html {
  const filled = values.map((value, at) => (texts[at] ?? "") + htmlText(value));
  return raw(filled.join("") + (texts.at(-1) ?? ""));
}

function htmlText(value: string | Html | readonly Html[]): string {
  if (typeof value === "string") return value.replaceAll(/[&<>"']/g, (char) => `&#${char.charCodeAt(0)};`);
  return "html" in value ? value.html : value.map(({ html }) => html).join("");
}

/** Only for what is written in this file. */
function raw(html: string): Html {
  return { html };
}
