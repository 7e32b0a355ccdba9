/** Jobs of jupyter-scheduler, where it is installed. */
import { PathExt } from '@jupyterlab/coreutils';
import type { IDefaultFileBrowser } from '@jupyterlab/filebrowser';
import type { CommandRegistry } from '@lumino/commands';

// Opens the form for a job of the notebook that is selected in the file browser.
const CREATE_JOB = 'scheduling:create-from-filebrowser';

/** What makes a job of the notebook at a path; null without jupyter-scheduler. */
export function schedulerOf(
  commands: CommandRegistry,
  browser: IDefaultFileBrowser | null
): ((path: string) => Promise<void>) | null {
  if (!browser || !commands.hasCommand(CREATE_JOB)) {
    return null;
  }
  return async path => {
    await browser.model.cd(`/${PathExt.dirname(path)}`);
    await browser.selectItemByName(PathExt.basename(path));
    await commands.execute(CREATE_JOB);
  };
}
