/** Takes what is dropped anywhere on the page, shows what it is for, and never lets the browser open it in place of the page. */
import { useEffect } from 'preact/hooks';
import { dropFiles, filesOfDrop } from './dropped-files.ts';
import { inWorker } from './in-worker.ts';
import { linkTo } from './routes.ts';

/** @param log in the query of links; undefined for the first log */
export function useDropAnywhere(log: string | undefined): void {
  useEffect(() => {
    const over = (event: DragEvent) => {
      event.preventDefault();
      document.body.classList.add('dropping');
    };
    const out = (event: DragEvent) => {
      if (event.relatedTarget === null) document.body.classList.remove('dropping');
    };
    const drop = (event: DragEvent) => {
      event.preventDefault();
      document.body.classList.remove('dropping');
      if (event.dataTransfer === null) return;
      void take(event.dataTransfer, log);
    };
    addEventListener('dragover', over);
    addEventListener('dragleave', out);
    addEventListener('drop', drop);
    return () => {
      removeEventListener('dragover', over);
      removeEventListener('dragleave', out);
      removeEventListener('drop', drop);
    };
  }, [log]);
}

async function take(data: DataTransfer, log: string | undefined): Promise<void> {
  const { files, problems } = await filesOfDrop(data);
  // On the view of bundles everything is for it; elsewhere a bundle leads there.
  const isHere = /^#\/bundle\b/.test(location.hash);
  const forms = isHere
    ? []
    : await Promise.all(files.map((file) => inWorker('sniffDropped', { file }).catch(() => 'file')));
  dropFiles(files, problems);
  if (!isHere && /^#\/compare\b/.test(location.hash)) return;
  const evidence = isHere || forms.some((form) => form !== 'file');
  location.hash = linkTo(evidence ? 'bundle' : 'file', '', { log });
}
