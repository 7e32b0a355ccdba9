import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import {
  ICommandPalette,
  Notification,
  WidgetTracker,
  type MainAreaWidget
} from '@jupyterlab/apputils';
import { PageConfig, PathExt } from '@jupyterlab/coreutils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import { ILauncher } from '@jupyterlab/launcher';
import type { IDisposable } from '@lumino/disposable';
import { DisposableSet } from '@lumino/disposable';

import { Api } from './api';
import type { Run, TemplateList } from './api_types';
import { FormPage } from './form_page';
import { Gallery } from './gallery';
import { checkupIcon, iconOf } from './icons';
import { addResultFile } from './result_file';
import { ResultView } from './results';
import { RunsModel } from './runs_model';
import { RunsPanel } from './runs_panel';
import { schedulerOf } from './scheduler';
import { makePage, showPage } from './show';

const CATEGORY = 'Model check-ups';
const SHOWN = 8000; // milliseconds that a note stays

const Commands = {
  setUp: 'kernel-lib:set-up',
  gallery: 'kernel-lib:gallery',
  openResults: 'kernel-lib:open-results',
  showRuns: 'kernel-lib:show-runs'
};

type SetUp = {
  template?: string;
  title?: string;
  question?: string;
  preset?: string;
  cwd?: string;
};

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'kernel-lib:plugin',
  description: 'Check-ups for trained image classifiers.',
  autoStart: true,
  optional: [
    ILauncher,
    ICommandPalette,
    ILayoutRestorer,
    IDefaultFileBrowser,
    IDocumentManager
  ],
  activate: (
    app: JupyterFrontEnd,
    launcher: ILauncher | null,
    palette: ICommandPalette | null,
    restorer: ILayoutRestorer | null,
    browser: IDefaultFileBrowser | null,
    manager: IDocumentManager | null
  ): void => {
    const { commands, serviceManager } = app;
    const api = new Api(serviceManager.serverSettings);
    const model = new RunsModel(api);
    const pages = new WidgetTracker<MainAreaWidget>({
      namespace: 'kernel-lib'
    });
    const restoring = new Map<string, { command: string; args: object }>();
    const titles = new Map<string, string>();
    let count = 0;

    const urlOf = async (path: string): Promise<string> =>
      serviceManager.contents.getDownloadUrl(path);
    const openFile = (path: string): void => {
      void commands.execute('docmanager:open', { path });
    };
    const openResults = (folders: string[]): void => {
      void commands.execute(Commands.openResults, { folders });
    };
    /** The folder that the file browser shows; in Notebook 7, that of the notebook. */
    const here = (): string =>
      browser?.model.path ??
      PathExt.dirname(PageConfig.getOption('notebookPath'));
    const setUp = (template: string, preset: string | null): void => {
      void commands.execute(Commands.setUp, {
        template,
        preset: preset ?? ''
      });
    };
    const openGallery = (): void => {
      void commands.execute(Commands.gallery);
    };

    /** Show a page and have it come back when the browser is loaded again. */
    const keep = (
      page: MainAreaWidget,
      command: string,
      args: object
    ): MainAreaWidget => {
      restoring.set(page.id, { command, args });
      page.disposed.connect(() => restoring.delete(page.id));
      showPage(app, page);
      void pages.add(page);
      return page;
    };

    const panel = new RunsPanel(model, {
      openNotebook: openFile,
      openResults,
      openGallery
    });
    panel.id = 'kernel-lib-runs';
    panel.title.icon = checkupIcon;
    panel.title.caption = 'Check-up runs';
    app.shell.add(panel, 'left', { rank: 550 });

    commands.addCommand(Commands.setUp, {
      label: args => (args as SetUp).title ?? 'Set up a check-up',
      caption: args => (args as SetUp).question || 'Set it up, open or run it',
      icon: args => iconOf((args as SetUp).template ?? ''),
      execute: args => {
        const { template = '', title, preset, cwd = here() } = args as SetUp;
        const content = new FormPage({
          api,
          template,
          folder: withoutDrive(cwd),
          preset: preset || null,
          manager,
          onOpened: openFile,
          onStarted: () => {
            void model.refresh();
            void commands.execute(Commands.showRuns);
          },
          scheduler: () => schedulerOf(commands, browser)
        });
        const page = makePage(content, {
          id: `kernel-lib-form-${(count += 1)}`,
          title: title ?? titles.get(template) ?? template,
          icon: iconOf(template)
        });
        return keep(page, Commands.setUp, { ...args, cwd });
      }
    });

    let gallery: MainAreaWidget | null = null;
    commands.addCommand(Commands.gallery, {
      label: args => (args.short ? 'All check-ups' : 'Model check-ups: all'),
      caption: 'Every check-up, its presets and its last results',
      icon: checkupIcon,
      execute: () => {
        if (gallery && !gallery.isDisposed) {
          showPage(app, gallery);
          return gallery;
        }
        const content = new Gallery({
          api,
          model,
          urlOf,
          setUp,
          openResults,
          onTemplates: list => addCards(list)
        });
        gallery = makePage(content, {
          id: 'kernel-lib-gallery',
          title: 'Model check-ups',
          icon: checkupIcon
        });
        return keep(gallery, Commands.gallery, {});
      }
    });

    commands.addCommand(Commands.openResults, {
      label: 'Open check-up results',
      execute: args => {
        const folders = args.folders as string[];
        const content = new ResultView({ api, folders, urlOf, openFile });
        const page = makePage(content, {
          id: `kernel-lib-result-${(count += 1)}`,
          title: titleOf(folders),
          icon: checkupIcon
        });
        content.foldersChanged.connect(() => {
          page.title.label = titleOf(content.folders);
          restoring.set(page.id, {
            command: Commands.openResults,
            args: { folders: content.folders }
          });
          void pages.save(page);
        });
        return keep(page, Commands.openResults, args);
      }
    });

    commands.addCommand(Commands.showRuns, {
      label: 'Model check-ups: runs',
      icon: checkupIcon,
      execute: () => app.shell.activateById(panel.id)
    });

    if (palette) {
      for (const command of [Commands.gallery, Commands.showRuns]) {
        palette.addItem({ command, category: CATEGORY });
      }
    }
    addResultFile(app, { api, urlOf, openFile });
    if (restorer) {
      restorer.add(panel, 'kernel-lib-runs');
      void restorer.restore(pages, {
        command: 'kernel-lib:restore',
        args: page => restoring.get(page.id) ?? {},
        name: page => page.id
      });
    }
    // One command for all pages: each says by which it was made.
    commands.addCommand('kernel-lib:restore', {
      execute: args =>
        args.command
          ? commands.execute(args.command as string, args.args as never)
          : undefined
    });

    let cards: IDisposable | null = null;
    const addCards = (list: TemplateList): void => {
      cards?.dispose();
      cards = new DisposableSet();
      list.templates.forEach(({ name, title, description }, index) => {
        titles.set(name, title);
        const args = { template: name, title, question: description };
        const command = Commands.setUp;
        const added = [
          launcher?.add({ command, args, category: CATEGORY, rank: index }),
          palette?.addItem({ command, args, category: CATEGORY })
        ];
        added.forEach(each => each && (cards as DisposableSet).add(each));
      });
    };
    launcher?.add({
      command: Commands.gallery,
      args: { short: true },
      category: CATEGORY,
      rank: 1000
    });

    model.ended.connect((_, run) => announce(run, openFile, openResults));
    api.templates().then(
      list => {
        addCards(list);
        model.start();
      },
      // The gallery says what is wrong; a server without the extension has no cards.
      () => undefined
    );
  }
};

/** Say that a run has ended, with what there is to look at. */
function announce(
  run: Run,
  openFile: (path: string) => void,
  openResults: (folders: string[]) => void
): void {
  const actions: Notification.IAction[] = [];
  const { result, notebook } = run;
  if (result) {
    actions.push({
      label: 'Result',
      callback: () => openResults([result.folder])
    });
  }
  if (notebook) {
    actions.push({ label: 'Notebook', callback: () => openFile(notebook) });
  }
  const text = `${run.title} ${run.status}.`;
  if (run.status === 'completed') {
    Notification.success(text, { actions, autoClose: SHOWN });
  } else if (run.status === 'cancelled') {
    Notification.info(text, { actions, autoClose: SHOWN });
  } else {
    Notification.error(text, { actions, autoClose: SHOWN });
  }
}

function titleOf(folders: string[]): string {
  const names = folders.map(folder => folder.split('/').pop() || 'result');
  return names.length > 1 ? `${names.length} results` : (names[0] ?? 'result');
}

/** The path of a folder for the server: a drive of the browser's is none of the server's. */
function withoutDrive(path: string): string {
  return path.replace(/^[A-Za-z]+:/, '');
}

export default plugin;
