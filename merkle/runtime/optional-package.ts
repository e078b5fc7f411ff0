/** Packages that few users need. Who needs one installs it beside Stele: package.json names them as optional peers. */
import { RuntimeError, type RuntimeErrorCode } from './runtime-errors.ts';

/**
 * Loads a package when it is first needed.
 * @param what what needs the package, as the subject of a sentence
 * @param advice what to know before it is installed; a sentence
 * @throws RuntimeError `code`, naming the command that installs the package
 */
export async function loadPackage<Module>(
  name: string,
  what: string,
  code: RuntimeErrorCode = 'package',
  advice = '',
): Promise<Module> {
  try {
    return (await import(name)) as Module;
  } catch (cause) {
    const { code: reason, message } = cause as NodeJS.ErrnoException;
    const missing = reason === 'ERR_MODULE_NOT_FOUND' && message.includes(`'${name}'`);
    const text = missing
      ? `${what} needs the package ${name}, which is not installed. Run \`npm install ${name}\` where stele is installed, with -g if stele is.`
      : `${what} needs the package ${name}, which is installed but cannot be loaded. Run \`npm rebuild ${name}\` where stele is installed.`;
    throw new RuntimeError(code, advice === '' ? text : `${text} ${advice}`, { cause });
  }
}
