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
  entry: { title: 'Entry', inMenu: true, load: async () => (await import('./entry-view.tsx')).EntryView },
  search: { title: 'Search', inMenu: true, load: async () => (await import('./search-view.tsx')).SearchView },
  file: { title: 'Find a file', inMenu: true, load: async () => (await import('./file-view.tsx')).FileView },
  bundle: { title: 'Verify a bundle', inMenu: true, load: async () => (await import('./bundle-view.tsx')).BundleView },
  compare: {
    title: 'Compare checkpoints',
    inMenu: true,
    load: async () => (await import('./compare-view.tsx')).CompareView,
  },
};
