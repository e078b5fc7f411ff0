// Writes a manual page for each command, made from the command's own help: the last step of `npm run build`.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { loadAll } from '../dist/chunks/stele.js';

const DIR = new URL('../dist/man/', import.meta.url);
const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));

/** Text for troff: a hyphen of a flag is a minus sign, and no line begins a request. */
const escape = (text) =>
  text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^([.'])/gm, '\\&$1')
    .replace(/[^\x20-\x7e\n]/gu, (character) => `\\[u${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`);
const bold = (text) => `\\fB${escape(text)}\\fR`;
const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean).map(escape).join('\n');

/** `stele-log-check` */
const nameOf = (path) => path.join('-');

/** What help prints after the options: paragraphs, and examples. */
function afterHelp(command) {
  let whole = '';
  command.configureOutput({ writeOut: (text) => { whole += text; } });
  command.outputHelp();
  const text = whole.slice(command.helpInformation().length).trim();
  const [prose, examples] = text.split(/^Examples?:\n/m);
  return { prose: prose.trim(), examples: examples?.trimEnd() };
}

function page(command, path, inner, parent) {
  const help = command.createHelp();
  const { prose, examples } = afterHelp(command);
  const description = command.description();
  const summary = command.summary() || description;
  const words = command.registeredArguments.map((argument) => {
    const name = `\\fI${escape(argument.name())}\\fR${argument.variadic ? ' ...' : ''}`;
    return argument.required ? name : `[${name}]`;
  });
  const sections = [
    `.TH ${escape(nameOf(path).toUpperCase())} 1 "" "stele ${version}" "Stele"`,
    `.SH NAME\n${escape(nameOf(path))} \\- ${escape(summary.split(/[.:](?= |$)/)[0])}`,
    `.SH SYNOPSIS\n${bold(path.join(' '))} ${[...(inner.length > 0 ? ['[\\fIcommand\\fR]'] : []), '[\\fIoptions\\fR]', ...words].join(' ')}`,
    `.SH DESCRIPTION\n${lines(description)}.`,
  ];
  if (prose !== '') sections.push(prose.split(/\n\n+/).map((part) => `.PP\n${lines(part)}`).join('\n'));
  if (inner.length > 0) {
    const list = inner.map((one) => `.TP\n${bold([...path, one.name()].join(' '))}\n${lines(one.description())}`);
    sections.push(`.SH COMMANDS\n${list.join('\n')}`);
  }
  const described = command.registeredArguments.filter((argument) => argument.description !== '');
  if (described.length > 0) {
    const list = described.map((one) => `.TP\n\\fI${escape(one.name())}\\fR\n${lines(help.argumentDescription(one))}`);
    sections.push(`.SH ARGUMENTS\n${list.join('\n')}`);
  }
  const options = help.visibleOptions(command).map((option) => {
    const [flags, value = ''] = option.flags.split(/ (?=[<[])/);
    return `.TP\n${bold(flags)}${value === '' ? '' : ` \\fI${escape(value.replace(/^<(.*)>$/, '$1'))}\\fR`}\n${lines(help.optionDescription(option))}`;
  });
  sections.push(`.SH OPTIONS\n${options.join('\n')}`);
  if (examples !== undefined) sections.push(`.SH EXAMPLES\n.nf\n${escape(examples)}\n.fi`);
  const see = [...(parent === undefined ? [] : [parent]), ...inner.map((one) => [...path, one.name()])];
  sections.push(`.SH SEE ALSO\n${see.map((one) => `.BR ${escape(nameOf(one))} (1)`).join(',\n')}`);
  return `${sections.join('\n')}\n`;
}

function write(command, path, parent) {
  const inner = command.commands;
  writeFileSync(new URL(`${nameOf(path)}.1`, DIR), page(command, path, inner, parent));
  for (const one of inner) write(one, [...path, one.name()], path);
}

rmSync(DIR, { recursive: true, force: true });
mkdirSync(DIR, { recursive: true });
write(await loadAll(), ['stele'], undefined);
