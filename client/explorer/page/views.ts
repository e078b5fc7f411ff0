/** The views of the page. Each is a file of its own, loaded when it is first shown. */
import type { ComponentType } from 'preact';
import type { ViewName } from './routes.ts';
import type { ViewProps } from './types.ts';

interface ViewEntry {
  /** In the menu, and in the title of the page. */
  readonly title: string;
  /** An entry is reached by its number. */
  readonly inMenu: boolean;
  readonly load: () => Promise<ComponentType<ViewProps>>;
}

export const VIEWS: Readonly<Record<ViewName, ViewEntry>> = {
  log: { title: 'The log', inMenu: true, load: async () => (await import('./log-view.tsx')).LogView },
  compare: {
    title: 'Compare checkpoints',
    inMenu: true,
    load: async () => (await import('./compare-view.tsx')).CompareView,
  },
};
