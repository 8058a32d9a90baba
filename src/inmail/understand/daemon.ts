/** How mail servers and their keepers sign. */
export const DAEMON =
  /mailer[-_ ]?d(?:a|ae)mon|mail deliver|delivery (?:sub)?system|delivery agent|postmaster|post_master|post office|mail ?administrator|system administrator|mail system|mail router|mail server|mail gateway|\bmta\b|\bmdaemon\b|mailsrv|mail-daemon|smtp ?gateway|smtp server|antivirus|anti-virus|\bndr\b|microsoft outlook|microsoft exchange|e-?mail system|mailserver|mail service|mmsc|returned mail|bounce|-daemon\b|^<>$|administrador|soporte de correo/i;
