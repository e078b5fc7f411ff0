/** `stele completion`: prints scripts that complete commands and flags, made from the commands themselves. */
import { Argument, Command } from 'commander';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

interface Node {
  /** `stele log check` */
  readonly path: string;
  /** Subcommands, and the choices of an argument. */
  readonly commands: readonly Word[];
  readonly flags: readonly Word[];
}

interface Word {
  readonly word: string;
  readonly about: string;
}

const HELP = `
Examples:
  stele completion bash > ~/.local/share/bash-completion/completions/stele
  stele completion zsh > "\${fpath[1]}/_stele"
  stele completion fish > ~/.config/fish/completions/stele.fish`;

/** @param loadAll the whole tree of commands */
export function completionCommand(loadAll: () => Promise<Command>): Command {
  return new Command('completion')
    .description('Print a script that completes commands and flags')
    .addArgument(new Argument('<shell>', 'the shell').choices(SHELLS))
    .addHelpText('after', HELP)
    .action(async (shell: Shell) => {
      process.stdout.write(completionScript(shell, await loadAll()));
    });
}

export function completionScript(shell: Shell, program: Command): string {
  const nodes = walk(program, 'stele');
  return { bash, zsh, fish }[shell](nodes);
}

function walk(command: Command, path: string): Node[] {
  const flags = command.options.map(({ long, short, description }) => ({
    word: long ?? short ?? '',
    about: first(description),
  }));
  const choices = command.registeredArguments.flatMap(({ argChoices = [], description }) =>
    argChoices.map((word) => ({ word, about: first(description) })),
  );
  const inner = command.commands.map((inner) => ({ word: inner.name(), about: first(inner.description()) }));
  const commands = [...inner, ...choices];
  const node = { path, commands, flags: [...flags, { word: '--help', about: 'show help' }] };
  return [node, ...command.commands.flatMap((inner) => walk(inner, `${path} ${inner.name()}`))];
}

/** The first sentence, without characters that are special to a shell or to a completion script. */
function first(text: string): string {
  return (text.split(/[.;:(]/)[0] ?? '').replace(/[^\p{L}\p{N} ,/-]/gu, '').trim();
}

/** The walk that bash and zsh share: `$path` becomes the longest command that the words name. */
function cases(nodes: readonly Node[]): string {
  return nodes
    .slice(1)
    .map(({ path }) => `'${path}'`)
    .join('|');
}

function bash(nodes: readonly Node[]): string {
  const arms = nodes.map(({ path, commands, flags }) => {
    const names = commands.map(({ word }) => word).join(' ');
    return `    '${path}') commands='${names}'; flags='${flags.map(({ word }) => word).join(' ')}' ;;`;
  });
  return `# bash completion for stele
_stele() {
  local cur=\${COMP_WORDS[COMP_CWORD]} path=stele commands='' flags='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$path \${COMP_WORDS[i]}" in
      ${cases(nodes)}) path="$path \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$path" in
${arms.join('\n')}
  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $commands ]]; then
    COMPREPLY=($(compgen -W "$commands" -- "$cur"))
  else
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _stele stele
`;
}

function zsh(nodes: readonly Node[]): string {
  const words = (list: readonly Word[]) => list.map(({ word, about }) => `'${word}:${about}'`).join(' ');
  const arms = nodes.map(
    ({ path, commands, flags }) => `    '${path}') commands=(${words(commands)}); flags=(${words(flags)}) ;;`,
  );
  return `#compdef stele
_stele() {
  local here=stele i
  local -a commands flags
  for ((i = 2; i < CURRENT; i++)); do
    case "$here $words[i]" in
      ${cases(nodes)}) here="$here $words[i]" ;;
    esac
  done
  case "$here" in
${arms.join('\n')}
  esac
  if [[ $PREFIX == -* ]]; then
    _describe flag flags
  elif (( $#commands )); then
    _describe command commands
  else
    _files
  fi
}
if [[ $funcstack[1] == _stele ]]; then _stele "$@"; else compdef _stele stele; fi
`;
}

function fish(nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, flags }) => {
    const names = path.split(' ').slice(1);
    const seen = names.map((name) => `__fish_seen_subcommand_from ${name}`);
    const none =
      commands.length === 0 ? [] : [`not __fish_seen_subcommand_from ${commands.map(({ word }) => word).join(' ')}`];
    const here = [...seen, ...none].join('; and ');
    const when = here === '' ? '' : ` -n '${here}'`;
    return [
      ...commands.map(({ word, about }) => `complete -c stele -f${when} -a ${word} -d '${about}'`),
      ...flags.map(({ word, about }) => `complete -c stele${when} -l ${word.slice(2)} -d '${about}'`),
    ];
  });
  return `# fish completion for stele\n${lines.join('\n')}\n`;
}
