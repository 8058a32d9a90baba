/**
 * Words by which a mail that came back is known for what it is when it does not say so to programs: in its subject, in its text. As bounce rules look for
 * theirs (folded, in one pass). They tell kinds of mail apart; why something failed is said by the rules alone.
 */
import { GAP_MOST, expandPattern, foldText } from "../../model/bounce-text.ts";
import { compileTextSearch } from "../../model/text-search.ts";

/** In a text: each list is what one thing is said by. */
const TEXTS = {
  /** It was not delivered. */
  failed: [
    "(could not|couldn t|can not|cannot|can t|unable to|not able to|wasn t able to|failed to|not possible to|impossible to) (be |)(delivered|deliver|send|sent|reach)",
    "(not|never) (be |)(delivered|deliver|deliverable)",
    "(undeliverable|undelivered|not deliverable|non delivery|nondelivery|non delivered)",
    "(delivery|transmission|message|mail|sending) (to following * |to |of |)*(failed|failure|fail |unsuccessful|aborted|error|refused|rejected)",
    "(did not reach|didn t reach|not reach) (following|some|any|all|intended|recipient|these)",
    "(following|these) (address|addresses|recipient|recipients|users) (es |s |)(failed|had|could|couldn|not|did|rejected|unknown|cannot)",
    "(permanent|fatal|delivery|unrecoverable) (fatal |)(error|errors|failure)",
    "error occurred while (trying|attempting|processing|sending|delivering)",
    "(returned|return|returning|bounced|returned back|sent back) (to sender|to you|message|mail|undelivered)",
    "(message|mail|email) (returned|rejected|refused|bounced|undeliverable|not sent|couldn t|wasn t|not accepted|blocked)",
    "(message|mail|email|attachment|posting|submission) (stopped|quarantined|removed|discarded|deleted|held|purged|filtered)",
    "(problem|problems|error|errors|trouble) (delivering|delivering your|while delivering|sending|with your message|during delivery)",
    "(address not found|address couldn t be found|recipient inbox full|message not delivered|message blocked|message not sent|delivery incomplete)",
    "transcript of session follows",
    "(technical details of permanent failure|diagnostic information for administrators|remote host said|remote server said|remote server returned|said 5|smtp error from remote)",
    "(giving up on|i m giving up|not going to try again|i ve given up)",
    "(not in list|not member|awaits moderator) *(post|message)",
    "(nicht zugestellt|unzustellbar|konnte nicht|fehlgeschlagen|nicht ausgeliefert|zuruckgewiesen)",
    "(n a pas pu etre|n a pu etre|non remis|impossible de remettre|echec de la remise|echec de remise|n a pas ete remis|pas ete delivre|non distribue)",
    "(no se pudo entregar|no pudo ser entregado|no ha podido|no entregado|no se ha podido|error en la entrega|error de envio|error en el envio|no se puede entregar)",
    "(nao foi possivel|nao pode ser entregue|nao entregue|nao foi entregue|falha na entrega|nao pode entregar)",
    "(impossibile recapitare|non e stato possibile|mancato recapito|non recapitato|non consegnat|consegna non riuscita)",
    "(kon niet worden|niet bezorgd|onbestelbaar|niet afgeleverd|kan niet worden)",
    "(nie zostala dostarczona|nie mogla zostac|niedostarczon|nie dostarczono|nie udalo sie|nie mozna dostarczyc)",
    "(kunde inte levereras|kunne ikke leveres|ikke leveret|ei voitu toimittaa|nebylo mozne dorucit|nelze dorucit|nedorucen)",
    "(не доставлен|не удалось доставить|не может быть доставлено|невозможно доставить|недоставлен|не был доставлен|не было доставлено|не могло быть доставлено)",
    "(配信できませ|配送できませ|届けることができ|お届けできませ|配達できませ|送信できませ|配信不能|エラーメール|宛先に届|送達できませ|配信に失敗|届きませんでした|戻され|返送)",
    "(无法投递|无法送达|無法傳遞|退信|投递失败|发送失败|未能送达|系统退信|邮件被退回|無法送達|无法传递|未送达)",
    "(배달되지|전달되지|보내지 못|반송|전송하지 못|전송 실패)",
    "(gonderilemedi|iletilemedi|teslim edilemedi|nu a putut fi|nem sikerult|khong the gui|tidak dapat dikirim|לא ניתן|تعذر|δεν ηταν δυνατ)",
  ],
  /** Somebody still tries. */
  delayed: [
    "will (retried|retry|attempted|tried again|keep trying|continue trying|continue to try|reattempted)",
    "(continue|continuing|keep|keeps) (to be |to |)(attempted|attempting|to try|trying|retrying|to retry|to attempt|to be retried)",
    "still (trying|attempting|being retried|queued|delayed|in queue)",
    "(not|don t) need to resend",
    "(warning|notice) (message |)only",
    "not yet (delivered|able)",
    "(could not|not) be delivered (yet|for # hours|for * hours|for last|within # hours) ",
    "delivery (attempts will|will continue|delayed|to following recipient delayed|to following recipients delayed|has been delayed)",
    "(message delayed|delivery delayed|has been delayed|delayed mail|still being)",
    "(temporarily|temporary) (delayed|not delivered|undeliverable|delivery delay|queued)",
    "will (deleted|returned|abandoned) (from queue|if not|if it|unless|after|in)",
    "next (attempt|retry|try)",
    "(wird weiterhin|weiter versucht|erneut versucht|noch nicht zugestellt|verzogert)",
    "(sera reessaye|nouvelle tentative|nouvelles tentatives|retardee|retarde)",
    "(se reintentara|seguira intentando|se ha retrasado|sera retentado|tentara novamente|atrasada|verra ritentat|ritardat)",
    "(попытки доставки|будет повтор|будут продолжен|задерж)",
    "(再送を試|再送を行|再試行|遅延|配送を続け|再度配信)",
    "(延迟|重试|重試|繼續嘗試|지연)",
  ],
  /** What is told by somebody who does not try any more, whatever was tried. */
  over: [
    "(giving up|given up|gave up|no longer try|not going to try|will not be retried|won t be retried|not be retried|stopped trying|no further attempts|no further delivery|permanent error|permanent failure|failed permanently|permanently rejected|permanent fatal|delivery failed)",
  ],
  /** It arrived. */
  delivered: [
    "successfully (delivered|relayed|sent) (to|into|by|for)",
    "(successfully delivered|successful delivery|delivery successful|successfully relayed|successfully received|delivery confirmation)",
    "message delivered to (following|recipient|mailbox)",
  ],
  /** Somebody is away. */
  away: [
    "(out of|away from|not in|out from) (office|my office|town|my desk|country|my mail|my email)",
    "(on|auf|back from|return from) (vacation|holiday|holidays|leave|maternity leave|annual leave|parental leave|sabbatical|sick leave|business trip|medical leave|urlaub|travel)",
    "(i m|i am|i will be|i ll be|we are|we will be|currently) (currently |presently |)(away|out |unavailable|traveling|travelling|on vacation|on leave|on holiday|out until|not available|unable to)",
    "(will|shall) (be back|return|respond|reply|get back|answer|be returning|be out) *(on|when|after|as soon|until|upon|to you|from|in|by|at)",
    "(limited|no|intermittent|infrequent) access to (my |)(email|e mail|mail|emails|voicemail)",
    "(thank you for|thanks for|we received|i received) (your|you|contacting|writing|emailing) (message|email|e mail|mail|enquiry|inquiry|us|request)",
    "(automatic|automated|auto|autoreply|automatically generated|automatisch generierte) (reply|response|answer|responder|acknowledgement|acknowledgment|antwort|e mail|email)",
    "(autoresponder|auto responder|autoreply|auto reply|vacation message|vacation reply)",
    "(in urgent cases|for urgent matters|for urgent|in my absence|in case of emergency|if this is urgent|if you need immediate|immediate assistance)",
    "(nicht im buro|abwesend|abwesenheit|im urlaub|wieder im buro|derzeit nicht erreichbar|nicht im hause|ausser haus|abwesenheitsnotiz|wieder erreichbar|bin ich wieder|dringenden fallen)",
    "(absent du bureau|en conge|en vacances|je suis absent|actuellement absent|de retour le|serai de retour|absente|absence du bureau)",
    "(fuera de la oficina|de vacaciones|ausente|estare de vuelta|respuesta automatica|estoy fuera)",
    "(fora do escritorio|de ferias|ausente|resposta automatica|estarei ausente|estou fora)",
    "(fuori ufficio|in ferie|sono assente|risposta automatica|saro assente)",
    "(niet aanwezig|afwezig|op vakantie|buiten kantoor|automatisch antwoord)",
    "(nieobecny|na urlopie|poza biurem|nieobecna|jestem nieobecn|przebywam na)",
    "(franvarande|pa semester|pa ferie|ikke pa kontoret|kontorin ulkopuol|poissa|mimo kancelar|dovolene|szabadsag|izinde|ofis disi|arpus biroja|atvalinajum|puhkus|atostog)",
    "(в отпуске|отсутств|автоответ|вне офиса|автоматический ответ)",
    "(不在に|不在の|休暇|外出|自動返信|自動応答|出張|夏季休業|お休み)",
    "(自动回复|自動回覆|休假|外出|不在办公室|不在辦公室|收到您的邮件|您的邮件已收到)",
    "(부재중|휴가|자동 응답|자동응답)",
  ],
  /** A person is asked to prove to be one. */
  challenge: [
    "(confirm|prove|verify|verification|authenticate|validate) * (you sent|you are human|human|real person|legitimate sender|your message|sent by person|sent by human|your email address|sender|delivery of your|not spam|your identity)",
    "(click|reply|follow|visit) * (to confirm|to verify|to have your message|so your message|to deliver your|to release|to be added|to authenticate|to approve|delivered to my inbox)",
    "(boxbe|spamarrest|spam arrest|bluebottle|choicemail|mailblocks|tmda|sendio|0spam|spam interceptor|antispam uol|antispam do uol|knowspam|earthlink spamblocker|spamblocker|matador|vanquish)",
    "(one time|only once|just this once|first time) * (confirm|verif|request|approval|authenticat|click|link)",
    "(guest list|approved sender|approved senders|allowed senders|whitelist|white list|safe list) * (add|click|request|approv|please|join)",
    "(request to be added|add yourself|awaiting your confirmation|awaiting your reply|message held|being held|held pending|pending your|in quarantine until)",
    "(challenge response|challenge email|sender verification)",
  ],
  /** A mail server was talked to. */
  dialogue: [
    "(550|551|552|553|554|450|451|452|421) (#|5|4|user|mailbox|no|requested|unknown|recipient|relay|@|sorry|message|service|invalid|unable|host|mail|administrative|spam|blocked|denied|rejected|permanent|that|this)",
    "(rcpt to|mail from|user unknown|unknown user|no such user|mailbox full|over quota|host unknown|relay denied|relaying denied|quota exceeded|mailbox unavailable|recipient unknown|unknown recipient|does not exist|not listed in|connection refused|timed out)",
  ],
} as const;

/** In a subject. */
const SUBJECTS = {
  failed: [
    "(undeliver|undeliverable|undelivered|non deliver|nondeliver|not deliverable|non remis|unzustellbar|onbestelbaar|non recapit)",
    "(returned mail|return mail|mail returned|returned message|returned to sender|returning message to sender|mail returned to sender|bounced mail|bounce |bounced)",
    "(delivery|mail|message|email|e mail|send|mail system|transmission|nachricht|sending|distribution) (delivery |status |)(failure|failed|error|problem|failure notice|unsuccessful|report|notification|has failed|fehlgeschlagen|returned|rejected|aborted|not delivered|undeliverable)",
    "(failure notice|failure delivery|delivery failure|failed delivery|failed mail|failure report|delivery failed|mail failure|mail failed|permanent delivery failure|permanent failure|permanent fail|error mail|mail error|processing error|nondelivery report|ndn|ndr |mailer daemon)",
    "(could not be delivered|couldn t be delivered|could not deliver|not delivered|cannot be delivered|unable to deliver|can t be delivered|wasn t delivered|not be delivered|was not delivered|could not send|not be sent|message not sent|rejected by|message rejected|mail rejected|blocked|refused|message blocked)",
    "(virus|malware|infected|banned|prohibited|dangerous|suspicious|spam|content|policy|attachment) (alert|found|detected|warning|violation|notification|in mail|in your|file|filename|blocked|rejected|removed)",
    "(delivery status notification|delivery notification|delivery report|status notification|delivery status|returned e mail|email bounce|bounce notification)",
    "(user unknown|mailbox full|unknown user|over quota|address unknown|recipient unknown|host unknown|unknown address|mail quota|wrong address|invalid address|invalid recipient|no such user)",
    "(zustellung|unzustellbar|nicht zugestellt|zustellfehler|fehlerhafte|zustellungs)",
    "(echec de|non distribu|non remis|retour de mail|erreur de livraison|message non)",
    "(no entregado|devuelto|estado del envio|error de entrega|no se puede entregar|notificacion de estado|correo devuelto|entrega fallida)",
    "(nao entregue|devolvid|falha na entrega|falha de entrega|mensagem nao|erro no envio)",
    "(mancato recapito|mancata consegna|errore di consegna|messaggio non|avviso di mancata)",
    "(niet bezorgd|onbestelbaar|niet afgeleverd|niedostarczon|zwrot|nedorucitel|nedoruceno|kezbesithetetlen)",
    "(не доставлен|недоставлен|не удалось доставить|сообщение не доставлено|ошибка доставки|возврат|недоставленн)",
    "(配信不能|配送不能|配達不能|送信エラー|エラー|メールを配信|宛先不明|配信できません|届きませんでした|未達|配送できません)",
    "(退信|无法投递|投递失败|系统退信|邮件退回|無法傳遞|未送达|未傳遞)",
    "(반송|배달되지|전송 실패|배달 실패)",
  ],
  delayed: [
    "(delayed|delay |still being|warning could not|could not send message for|warning message|not yet|retrying|temporary delivery|temporarily undeliverable|will be retried|verzogert|retarde|delivery delay|message delay|mail delay|delayed mail)",
    "(задерж|遅延|延迟|지연)",
  ],
  delivered: [
    "(successful mail delivery|success notice|delivery success|delivered |successfully delivered|delivery successful|delivery confirmation|return receipt|relayed|successful delivery|has been delivered|was delivered)",
  ],
  auto: [
    "(out of office|out of the office|outofoffice|ooo |away from office|away from my|on vacation|on holiday|on leave|vacation|holiday message|maternity leave)",
    "(automatic|automated|auto|automatische|automatisk|automatikus|automaattinen|automaticka|automatyczna|otomatik) (reply|response|answer|responder|respond|antwort|svar|valasz|vastaus|odpoved|odpowiedz|yanit|acknowledg)",
    "(autoreply|auto reply|autoresponse|auto response|autoresponder|autoantwort|autosvar|autorespond|auto responder|automatic response)",
    "(abwesenheit|abwesend|ich bin nicht|nicht im buro|urlaub|abwesenheitsnotiz)",
    "(reponse automatique|absence du bureau|absent|message d absence)",
    "(respuesta automatica|fuera de la oficina|resposta automatica|fora do escritorio|ausencia|risposta automatica|fuori sede|fuori ufficio)",
    "(automatisch antwoord|afwezig|niet aanwezig|automatiska atbilde|autosvar|franvaro|automatinis atsakymas)",
    "(автоответ|автоматический ответ|отсутствую|в отпуске)",
    "(自動返信|自動応答|不在|自動回答)",
    "(自动回复|自動回覆|自动答复|外出)",
    "(자동 응답|자동응답|부재중|자동 회신)",
  ],
  unsubscribe: [
    "(unsubscribe|unsubscription|opt out|remove me|take me off|abmelden|abmeldung|abbestellen|desabonner|desinscription|desinscrire|darse de baja|baja |cancelar suscripcion|cancelar inscricao|descadastrar|disiscriv|cancellazione|afmelden|uitschrijven|wypisz|odhlasit|отписаться|отписка|配信停止|退会|退订|取消订阅|수신거부)",
  ],
  challenge: [
    "(confirm your|please confirm|verify your|verification required|verification of your|sender verification|confirmation required|authorization required|challenge|waiting for your|spam arrest|boxbe|bluebottle|action required|confirm message|requires confirmation|message verification|please verify|verify you|approve your|held pending|request for verification|confirmacao)",
  ],
  complaint: [
    "(complaint about message from|abuse report|spam report|feedback loop|spam complaint|email feedback report|junk mail report|fbl report|email abuse|complaint regarding)",
  ],
} as const;

export type TextWord = keyof typeof TEXTS;
export type SubjectWord = keyof typeof SUBJECTS;

const textWords = compileWords<TextWord>(TEXTS);
const subjectWords = compileWords<SubjectWord>(SUBJECTS);

/** What stands in a text: its first 4,000 characters. */
export function wordsIn(text: string): ReadonlySet<TextWord> {
  return textWords(text);
}

export function subjectWordsIn(subject: string): ReadonlySet<SubjectWord> {
  return subjectWords(subject.slice(0, 500));
}

function compileWords<Name extends string>(
  lists: Readonly<Record<Name, readonly string[]>>,
): (text: string) => ReadonlySet<Name> {
  const names: Name[] = [];
  const patterns: string[] = [];
  for (const name of Object.keys(lists) as Name[])
    for (const pattern of lists[name].flatMap(expandPattern)) {
      names.push(name);
      patterns.push(pattern);
    }
  const search = compileTextSearch(patterns, GAP_MOST);
  return (text) => {
    const words = new Set<Name>();
    for (const number of search(foldText(text)).found) words.add(names[number] as Name);
    return words;
  };
}
