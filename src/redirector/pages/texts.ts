/** What the pages say, in the languages they know. Plain sentences that blame nobody: whoever reads them has only followed a link. */

export const PAGE_NAMES = ["unsubscribe", "unsubscribed", "unknown", "gone", "later"] as const;
export type PageName = (typeof PAGE_NAMES)[number];

export interface PageText {
  readonly title: string;
  readonly text: string;
  /** Of the button; '' where there is none. */
  readonly button: string;
}

/** The first one is for readers whose languages are not here. */
export const LANGUAGES = ["en", "de", "fr", "es", "it"] as const;
export type Language = (typeof LANGUAGES)[number];

/** U+2011, so that no line of a narrow screen ends within "e-mail". */
const page = (title: string, text: string, button = ""): PageText => ({
  title,
  text: text.replaceAll(/\be-(?=mail)/gi, (start) => `${start[0]}\u2011`),
  button,
});

export const TEXTS: Readonly<Record<Language, Readonly<Record<PageName, PageText>>>> = {
  en: {
    unsubscribe: page(
      "Unsubscribe",
      "You will no longer receive these e-mails. Please confirm with the button.",
      "Unsubscribe",
    ),
    unsubscribed: page(
      "You are unsubscribed",
      "We have taken note of it. An e-mail that is already on its way may still reach you.",
    ),
    unknown: page(
      "This link does not work",
      "It may have been shortened or changed when it was copied. Please open it again from the e-mail.",
    ),
    gone: page("This link has expired", "The page it led to is no longer offered."),
    later: page("Please try again", "We cannot do this right now. Please try again in a few minutes."),
  },
  de: {
    unsubscribe: page(
      "Abmelden",
      "Sie erhalten dann keine dieser E-Mails mehr. Bitte bestätigen Sie mit der Schaltfläche.",
      "Abmelden",
    ),
    unsubscribed: page(
      "Sie sind abgemeldet",
      "Wir haben Ihre Abmeldung vermerkt. Eine E-Mail, die schon unterwegs ist, kann Sie noch erreichen.",
    ),
    unknown: page(
      "Dieser Link funktioniert nicht",
      "Vielleicht wurde er beim Kopieren gekürzt oder verändert. Bitte öffnen Sie ihn noch einmal aus der E-Mail.",
    ),
    gone: page("Dieser Link ist abgelaufen", "Die Seite, auf die er führte, wird nicht mehr angeboten."),
    later: page(
      "Bitte versuchen Sie es noch einmal",
      "Das ist im Augenblick nicht möglich. Bitte versuchen Sie es in einigen Minuten wieder.",
    ),
  },
  fr: {
    unsubscribe: page(
      "Se désabonner",
      "Vous ne recevrez plus ces e-mails. Veuillez confirmer en cliquant sur le bouton.",
      "Se désabonner",
    ),
    unsubscribed: page(
      "Désabonnement enregistré",
      "Nous avons bien pris note de votre demande. Un e-mail déjà envoyé peut encore vous parvenir.",
    ),
    unknown: page(
      "Ce lien ne fonctionne pas",
      "Il a peut-être été raccourci ou modifié lors de la copie. Veuillez l’ouvrir de nouveau depuis l’e-mail.",
    ),
    gone: page("Ce lien a expiré", "La page à laquelle il menait n’est plus proposée."),
    later: page(
      "Veuillez réessayer",
      "Cela n’est pas possible pour le moment. Veuillez réessayer dans quelques minutes.",
    ),
  },
  es: {
    unsubscribe: page(
      "Darse de baja",
      "Dejará de recibir estos correos. Confírmelo con el botón, por favor.",
      "Darse de baja",
    ),
    unsubscribed: page(
      "Se ha dado de baja",
      "Hemos tomado nota. Es posible que aún le llegue algún correo que ya estaba en camino.",
    ),
    unknown: page(
      "Este enlace no funciona",
      "Puede que se haya acortado o modificado al copiarlo. Ábralo de nuevo desde el correo, por favor.",
    ),
    gone: page("Este enlace ha caducado", "La página a la que llevaba ya no está disponible."),
    later: page(
      "Inténtelo de nuevo, por favor",
      "En este momento no es posible. Inténtelo de nuevo dentro de unos minutos.",
    ),
  },
  it: {
    unsubscribe: page(
      "Annulla l’iscrizione",
      "Non riceverà più queste e-mail. La preghiamo di confermare con il pulsante.",
      "Annulla l’iscrizione",
    ),
    unsubscribed: page(
      "Iscrizione annullata",
      "Abbiamo preso nota della Sua richiesta. Un’e-mail già in viaggio potrebbe ancora arrivarLe.",
    ),
    unknown: page(
      "Questo link non funziona",
      "Forse è stato accorciato o modificato durante la copia. La preghiamo di aprirlo di nuovo dall’e-mail.",
    ),
    gone: page("Questo link è scaduto", "La pagina a cui portava non è più disponibile."),
    later: page("La preghiamo di riprovare", "Al momento non è possibile. Riprovi fra qualche minuto."),
  },
};
